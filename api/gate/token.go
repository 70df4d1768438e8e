package gate

import (
	"crypto/sha256"
	"crypto/subtle"
	"iter"
	"net/http"
	"strings"
)

// Headers that clients send, spelled as keys of [http.Header].
const (
	HeaderClient = "X-Defenseclaw-Client"
	HeaderToken  = "X-Defenseclaw-Token" //nolint:gosec // the name of a header
	HeaderAuth   = "X-Dc-Auth"
)

// hasToken stands against everyone who cannot read the operator's files. Digests are compared, not
// tokens, so the time that it takes depends neither on the token nor on its length.
func (g *Gate) hasToken(r *http.Request) bool {
	ok := false
	for token := range Tokens(r.Header) {
		digest := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(digest[:], g.tokenDigest[:]) == 1 {
			ok = true
		}
	}
	return ok
}

// Tokens yields the tokens that a request presents, valid or not.
func Tokens(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		if token, ok := bearer(h.Get("Authorization")); ok && !yield(token) {
			return
		}
		if token := h.Get(HeaderToken); token != "" && !yield(token) {
			return
		}
		if token, ok := bearer(h.Get(HeaderAuth)); ok {
			yield(token)
		}
	}
}

// bearer reads a value such as "Bearer TOKEN".
func bearer(value string) (token string, ok bool) {
	scheme, token, ok := strings.Cut(value, " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}
