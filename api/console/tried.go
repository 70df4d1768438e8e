package console

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"defenseclaw/api"
)

// tried is the answer of one side.
type tried struct {
	api.TryAnswer

	Diagnostics []api.Diagnostic `json:"diagnostics"` // of a side that does not compile
	At          string           `json:"-"`
	Name        string           `json:"-"`
	Problem     string           `json:"-"` // why there is no answer
}

// Outcome is the answer in one line.
func (t *tried) Outcome() string {
	return cmp.Or(t.Problem, t.Failed, raw(t.Result))
}

// Long is the result on as many lines as it needs.
func (t *tried) Long() string { return indented(t.Result) }

// Place is the address of a line of a file, as this side has it.
func (t *tried) Place(file string, line int) string {
	query := url.Values{"file": {file}, "line": {strconv.Itoa(line)}}
	switch t.At {
	case api.SideServing:
	case api.SideCandidate:
		query.Set("of", api.SideHeld)
	default:
		query.Set("of", t.At)
	}
	return api.ConsolePrefix + "policy?" + query.Encode()
}

// triedFile is one file that the evaluation reached.
type triedFile struct {
	Name  string
	Lines api.TryLines
	Text  string // empty: it is not shown
	Line  int    // of the first condition that failed, else of the first entry of the explanation; 0: none
}

// Bounds of the source that a page shows of one side.
const (
	shownFiles = 8
	shownBytes = 200 << 10
)

// Files are those that the evaluation reached: first those that the explanation names.
func (t *tried) Files() (files []triedFile) {
	first := map[string]int{}
	for _, kind := range []string{"failed", "fired", "default"} {
		for _, r := range t.Explanation {
			if _, ok := first[r.File]; !ok && r.Kind == kind {
				first[r.File] = r.Line
			}
		}
	}
	left := shownBytes
	names := slices.SortedFunc(maps.Keys(t.Coverage), func(a, b string) int {
		return cmp.Or(-cmp.Compare(min(first[a], 1), min(first[b], 1)), cmp.Compare(a, b))
	})
	for i, name := range names {
		f := triedFile{Name: name, Lines: t.Coverage[name], Line: first[name]}
		if text := t.Source[name]; i < shownFiles && len(text) <= left {
			f.Text = text
			left -= len(text)
		}
		files = append(files, f)
	}
	return files
}

// Covered, Skipped and Missed are lines as an editor takes them.
func (f triedFile) Covered() string { return strings.Join(f.Lines.Covered, ",") }

// Excluded are those that the rule index found to be false.
func (f triedFile) Excluded() string { return strings.Join(f.Lines.Excluded, ",") }

// Skipped are those that the decision needed not evaluate.
func (f triedFile) Skipped() string { return strings.Join(f.Lines.Skipped, ",") }

// Missed are those that nothing evaluated.
func (f triedFile) Missed() string { return strings.Join(f.Lines.Missed, ",") }

// signedLine is a line of a file with a sign of what became of it.
type signedLine struct {
	Number     int
	Sign, Text string
}

// Signed are the lines of the file for who has no editor.
func (f triedFile) Signed() (lines []signedLine) {
	signs := map[int]string{}
	for sign, spans := range map[string][]string{"+": f.Lines.Covered, "~": f.Lines.Skipped, "×": f.Lines.Excluded, "-": f.Lines.Missed} {
		for _, span := range spans {
			from, to, several := strings.Cut(span, "-")
			first, _ := strconv.Atoi(from) // the API writes numbers
			last := first
			if several {
				last, _ = strconv.Atoi(to)
			}
			for n := first; n <= last; n++ {
				signs[n] = sign
			}
		}
	}
	for i, text := range strings.Split(strings.TrimSuffix(f.Text, "\n"), "\n") {
		lines = append(lines, signedLine{i + 1, cmp.Or(signs[i+1], " "), text})
	}
	return lines
}
