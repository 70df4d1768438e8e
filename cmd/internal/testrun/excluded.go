package testrun

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/cover"
)

// countExcluded counts the lines that only the rule index kept from being evaluated as reached. The index compares a part of
// the input with what a rule wants there: a test that it excludes a rule in has shown the rule's condition to be false, as one
// that evaluates the condition has. OPA counts such lines as not covered, and names the index as the reason.
func countExcluded(report *cover.Report) {
	report.CoveredLines, report.NotCoveredLines, report.Coverage = 0, 0, 0
	for _, f := range report.Files {
		missed := f.NotCovered[:0:0]
		for _, r := range f.NotCovered {
			if slices.Contains(r.Kinds, cover.KindIndexExcluded) {
				f.Covered = append(f.Covered, r)
			} else {
				missed = append(missed, r)
			}
		}
		f.NotCovered = missed
		slices.SortFunc(f.Covered, cover.Range.Compare)
		f.CoveredLines, f.NotCoveredLines = len(rowsOf(f.Covered)), len(rowsOf(f.NotCovered))
		f.Coverage = percent(f.CoveredLines, f.NotCoveredLines)
		report.CoveredLines += f.CoveredLines
		report.NotCoveredLines += f.NotCoveredLines
	}
	report.Coverage = percent(report.CoveredLines, report.NotCoveredLines)
}

func percent(covered, not int) float64 {
	if covered+not == 0 {
		return 0
	}
	return 100 * float64(covered) / float64(covered+not)
}

func rowsOf(ranges []cover.Range) map[int]bool {
	rows := map[int]bool{}
	for _, r := range ranges {
		for row := r.Start.Row; row <= r.End.Row; row++ {
			rows[row] = true
		}
	}
	return rows
}

// excludedRows are the lines of a file that are covered by what the rule index excluded alone, ascending.
func excludedRows(f *cover.FileReport) []int {
	excluded, evaluated := map[int]bool{}, map[int]bool{}
	for _, r := range f.Covered {
		rows := evaluated
		if len(r.Kinds) > 0 {
			rows = excluded
		}
		for row := r.Start.Row; row <= r.End.Row; row++ {
			rows[row] = true
		}
	}
	var only []int
	for row := range excluded {
		if !evaluated[row] {
			only = append(only, row)
		}
	}
	slices.Sort(only)
	return only
}

// Share is how much of the policy was reached, in percent of its lines, without those of test files.
func Share(coverage *cover.Report) (share float64, covered, lines int) {
	for _, name := range policyFiles(coverage) {
		covered += coverage.Files[name].CoveredLines
		lines += coverage.Files[name].CoveredLines + coverage.Files[name].NotCoveredLines
	}
	return percent(covered, lines-covered), covered, lines
}
