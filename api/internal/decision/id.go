package decision

import (
	"net/http"
	"strconv"
	"strings"

	"defenseclaw/engine"

	"github.com/google/uuid"
)

// Every request needs two identifiers. None is a secret, so random bytes may wait for their use in a
// pool, and most identifiers cost no system call.
func init() { uuid.EnableRandPool() }

// NewID returns a new random identifier: unique, but not secret. Safe for concurrent use.
func NewID() string { return uuid.NewString() }

// ID returns a new identifier of a decision, or of a batch of them. It also names the generation that
// decided and, by the first digits of its hash, the revision. Safe for concurrent use.
func ID(g *engine.Generation) string {
	_, hash, _ := strings.Cut(g.Revision(), ":")
	return NewID() + "." + strconv.FormatUint(g.Number(), 10) + "." + hash[:min(12, len(hash))]
}

// Headers that name the generation that decided, spelled as keys of [http.Header].
const (
	HeaderGeneration = "X-Defenseclaw-Generation"
	HeaderRevision   = "X-Defenseclaw-Revision"
)

// SetHeaders names g in the header of an answer.
func SetHeaders(h http.Header, g *engine.Generation) {
	values := []string{strconv.FormatUint(g.Number(), 10), g.Revision()}
	h[HeaderGeneration], h[HeaderRevision] = values[:1:1], values[1:]
}
