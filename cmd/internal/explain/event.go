package explain

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
)

// Event is what a decision log, of OPA's format, tells of one decision.
type Event struct {
	DecisionID string                               `json:"decision_id"`
	Bundles    map[string]struct{ Revision string } `json:"bundles"`
	Path       string                               `json:"path"`
	Query      string                               `json:"query"`
	Input      json.RawMessage                      `json:"input"`
	Result     json.RawMessage                      `json:"result"`
	Error      json.RawMessage                      `json:"error"`
	Erased     []string                             `json:"erased"`
	Masked     []string                             `json:"masked"`
	Timestamp  time.Time                            `json:"timestamp"`

	File string `json:"-"` // where it was found
}

// ErrNoEvent is wrapped where no log has the decision.
var ErrNoEvent = errors.New("the decision log has no decision with this identifier")

// FindEvent looks for a decision in a log and in those that were rotated away from it, the newest first.
func FindEvent(log, id string) (Event, error) {
	ext := filepath.Ext(log)
	rotated, err := filepath.Glob(globQuote(strings.TrimSuffix(log, ext)) + "-*" + globQuote(ext))
	if err != nil {
		return Event{}, err
	}
	slices.Sort(rotated) // by the time in their names
	slices.Reverse(rotated)
	for _, file := range append([]string{log}, rotated...) {
		e, err := findIn(file, id)
		if !errors.Is(err, ErrNoEvent) {
			return e, err
		}
	}
	return Event{}, fmt.Errorf("%w: %q, in %s and %s", ErrNoEvent, id, log, terminal.Count(len(rotated), "rotated file"))
}

func globQuote(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
}

// findIn returns the last event of the decision in a file: a line that is no event is passed over.
func findIn(file, id string) (found Event, err error) {
	in, err := os.Open(file) //nolint:gosec // the operator names it
	if err != nil {
		return found, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	quoted, err := json.Marshal(id)
	if err != nil {
		return found, err
	}
	for lines := bufio.NewReaderSize(in, 1<<16); ; {
		line, err := lines.ReadString('\n')
		if strings.Contains(line, string(quoted)) {
			var e Event
			if json.Unmarshal([]byte(line), &e) == nil && e.DecisionID == id {
				found, found.File = e, file
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return found, err
		}
	}
	if found.DecisionID == "" {
		return found, ErrNoEvent
	}
	return found, nil
}

// Revision is that of the policy that decided; empty where the event does not tell.
func (e *Event) Revision() string {
	for _, name := range []string{"defenseclaw"} {
		if b, ok := e.Bundles[name]; ok {
			return b.Revision
		}
	}
	if len(e.Bundles) == 1 {
		for _, b := range e.Bundles {
			return b.Revision
		}
	}
	return ""
}

// MaskedInput lists what of the input the log does not have, as JSON pointers.
func (e *Event) MaskedInput() (pointers []string) {
	for _, pointer := range append(slices.Clone(e.Erased), e.Masked...) {
		if pointer == "/input" || strings.HasPrefix(pointer, "/input/") {
			pointers = append(pointers, pointer)
		}
	}
	return pointers
}

// Decidable returns the path that was decided, or says why the decision cannot be made again from what is in the log.
func (e *Event) Decidable() (engine.Path, error) {
	if e.Query != "" || e.Path == "" {
		return nil, fmt.Errorf("decision %s cannot be made again: it was a query of the caller, %q", e.DecisionID, e.Query)
	}
	var path engine.Path
	for part := range strings.SplitSeq(e.Path, "/") {
		text, err := url.PathUnescape(part)
		if err != nil {
			return nil, fmt.Errorf("decision %s: path %q: %w", e.DecisionID, e.Path, err)
		}
		path = append(path, text)
	}
	return path, nil
}
