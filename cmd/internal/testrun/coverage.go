package testrun

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/terminal"

	"github.com/open-policy-agent/opa/v1/cover"
)

// PrettyCoverage lists the lines that no test reached, and those that the rule index found to be false, without test files.
func PrettyCoverage(w io.Writer, coverage *cover.Report, place func(file string) string) error {
	for _, name := range policyFiles(coverage) {
		f := coverage.Files[name]
		terminal.Fprintf(w, "%6.1f%%  %s", f.Coverage, place(name))
		fmt.Fprint(w, stretches(slices.Sorted(maps.Keys(rowsOf(f.NotCovered)))))
		if excluded := excludedRows(f); len(excluded) > 0 {
			fmt.Fprintf(w, "  (false by the rule index:%s)", stretches(excluded))
		}
		fmt.Fprintln(w)
	}
	if share, _, lines := Share(coverage); lines > 0 {
		terminal.Fprintf(w, "%6.1f%%  of %s\n", share, terminal.Count(lines, "line"))
	}
	return nil
}

// stretches are ascending lines as text, those that follow one another together; each has a space before it.
func stretches(rows []int) string {
	var text strings.Builder
	for i := 0; i < len(rows); {
		first := rows[i]
		for i++; i < len(rows) && rows[i] == rows[i-1]+1; i++ {
			continue
		}
		fmt.Fprintf(&text, " %d", first)
		if last := rows[i-1]; last > first {
			fmt.Fprintf(&text, "-%d", last)
		}
	}
	return text.String()
}

// JSONCoverage prints coverage as opa test --coverage does.
func JSONCoverage(w io.Writer, coverage *cover.Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(coverage)
}

// LCOV prints coverage as a tracefile of lcov, which editors and coverage services read, without test files.
func LCOV(w io.Writer, coverage *cover.Report) error {
	for _, name := range policyFiles(coverage) {
		f := coverage.Files[name]
		hits := map[int]int{}
		for _, r := range f.NotCovered {
			for row := r.Start.Row; row <= r.End.Row; row++ {
				hits[row] = 0
			}
		}
		for _, r := range f.Covered {
			for row := r.Start.Row; row <= r.End.Row; row++ {
				hits[row] = 1
			}
		}
		reached := 0
		terminal.Fprintf(w, "TN:\nSF:%s\n", name)
		for _, row := range slices.Sorted(maps.Keys(hits)) {
			terminal.Fprintf(w, "DA:%d,%d\n", row, hits[row])
			reached += hits[row]
		}
		terminal.Fprintf(w, "LF:%d\nLH:%d\nend_of_record\n", len(hits), reached)
	}
	return nil
}

func policyFiles(coverage *cover.Report) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(coverage.Files)), func(name string) bool {
		return strings.HasSuffix(name, "_test.rego")
	})
}
