package explain

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/explain"
)

// Why is what an explanation tells besides the result.
type Why struct {
	Explanation []string         `json:"explanation,omitempty"`
	NotCovered  map[string][]int `json:"not_covered,omitempty"`    // lines by file, of the files that were reached
	Excluded    map[string][]int `json:"index_excluded,omitempty"` // lines that were reached and false, as the rule index found
	Incomplete  string           `json:"incomplete,omitempty"`     // why there is more to explain
}

// kinds are the styles of the words that explanations begin with.
var kinds = map[explain.Kind]terminal.Style{explain.Fired: terminal.Good, explain.Failed: terminal.Bad, explain.Default: terminal.Look}

// WhyOf takes from an answer of package engine/explain what was asked for. place is as in [Options].
func WhyOf(found explain.Answer, reasons, coverage bool, place func(file string) string) (w Why) {
	if place == nil {
		place = report.AsIs
	}
	if reasons {
		w.Explanation = lines(found, place)
	}
	if coverage {
		w.NotCovered, w.Excluded = notCovered(found, place)
	}
	w.Incomplete = found.Incomplete
	return w
}

// Write prints it for people, an empty line first if there is anything.
func (a Why) Write(w io.Writer) error {
	if len(a.Explanation) > 0 {
		fmt.Fprintln(w)
	}
	for _, line := range a.Explanation {
		kind, rest, _ := strings.Cut(line, " ")
		terminal.Fprintf(w, "%s %s\n", kinds[explain.Kind(kind)].Line(kind), rest)
	}
	if a.NotCovered != nil {
		fmt.Fprintln(w)
	}
	for _, name := range slices.Sorted(maps.Keys(a.NotCovered)) {
		if lines := a.NotCovered[name]; len(lines) > 0 {
			terminal.Fprintf(w, "%s: lines not reached: %s\n", name, strings.Trim(fmt.Sprint(lines), "[]"))
		} else {
			terminal.Fprintf(w, "%s: every line was reached\n", name)
		}
		if lines := a.Excluded[name]; len(lines) > 0 {
			terminal.Fprintf(w, "%s: lines reached and false, as the rule index found without evaluating them: %s\n", name, strings.Trim(fmt.Sprint(lines), "[]"))
		}
	}
	if a.Incomplete != "" {
		terminal.Fprintf(w, "%s\n", a.Incomplete)
	}
	return nil
}
