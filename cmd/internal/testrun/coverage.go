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

// PrettyCoverage lists the lines that no test reached, without those of test files.
func PrettyCoverage(w io.Writer, coverage *cover.Report) error {
	covered, all := 0, 0
	for _, name := range policyFiles(coverage) {
		f := coverage.Files[name]
		covered += f.CoveredLines
		all += f.CoveredLines + f.NotCoveredLines
		terminal.Fprintf(w, "%6.1f%%  %s", f.Coverage, name)
		for _, r := range f.NotCovered {
			if r.Start.Row == r.End.Row {
				terminal.Fprintf(w, " %d", r.Start.Row)
			} else {
				terminal.Fprintf(w, " %d-%d", r.Start.Row, r.End.Row)
			}
		}
		fmt.Fprintln(w)
	}
	if all > 0 {
		terminal.Fprintf(w, "%6.1f%%  of %d lines\n", 100*float64(covered)/float64(all), all)
	}
	return nil
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
