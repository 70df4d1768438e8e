package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// The rows of docs/explanation/performance.md are those of the results that it links to.
func TestThePageSaysWhatTheResultsSay(t *testing.T) {
	page, err := os.ReadFile("../../docs/explanation/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	file := newestResults(t)
	if !strings.Contains(string(page), strings.TrimPrefix(file, "../../docs")) {
		t.Errorf("the page does not link to %s", file)
	}
	r, err := readResults(file)
	if err != nil {
		t.Fatal(err)
	}
	rate := func(v float64) string { return number(v) + " /s" }
	for _, c := range []struct {
		row, measure, corpus string
		of                   report
		format               func(float64) string
	}{
		{"start to first answer, 10 modules", "start to first answer", "10 tenants", r.Edit, ms},
		{"start to first answer, 5,000 modules", "start to first answer", "5,000 tenants", r.Edit, ms},
		{"edit to live, a module is replaced, 10 modules", "edit to live: a leaf, moved in from elsewhere", "10 tenants", r.Edit, ms},
		{"the same, 1,000 modules", "edit to live: a leaf, moved in from elsewhere", "1,000 tenants", r.Edit, ms},
		{"the same, 5,000 modules", "edit to live: a leaf, moved in from elsewhere", "5,000 tenants", r.Edit, ms},
		{"edit to live, a file is written in place, 1,000 modules", "edit to live: a leaf, in-place save", "1,000 tenants", r.Edit, ms},
		{"edit to live, a library changes its signature, 5,000 modules", "edit to live: a library, signature changed", "5,000 tenants", r.Edit, ms},
		{"longest decision during these edits, 1,000 modules", "longest decision during these edits", "1,000 tenants", r.Edit, ms},
		{"99.9th percentile of decisions in a storm of edits, 1,000 modules", "storm of edits: 99.9th percentile", "1,000 tenants", r.Edit, ms},
		{"memory after edits, 10 modules", "memory after * edits", "10 tenants", r.Edit, mb},
		{"memory after edits, 5,000 modules", "memory after * edits", "5,000 tenants", r.Edit, mb},
		{"throughput of a small policy, both on the same two processors", "throughput", "a small policy", r.Decide, rate},
	} {
		w, ok := rowOf(c.of, c.measure, c.corpus)
		if !ok {
			t.Errorf("the results have no %s, %s", c.measure, c.corpus)
			continue
		}
		want := fmt.Sprintf("| %s | %s | %s |", c.row, c.format(w.Programs[w.Best].Median), c.format(w.Programs[sidecarName].Median))
		if !strings.Contains(string(page), want) {
			t.Errorf("the page has no row %s", want)
		}
	}
	if want := decisionsOf(r.Decide); !strings.Contains(string(page), want) {
		t.Errorf("the page has no row %s", want)
	}
	if agreed := number(float64(r.Edit.Agreed + r.Decide.Agreed)); !strings.Contains(string(page), "All "+agreed+" answers") {
		t.Errorf("the page does not say that %s answers were compared", agreed)
	}
}

// decisionsOf is the row of what all kinds of decisions cost.
func decisionsOf(r report) string {
	var opa, ours, ratios []float64
	tenth := 0
	for _, w := range r.Rows {
		if w.Measure != decideTime || w.Ratio == nil {
			continue
		}
		opa, ours = append(opa, w.Programs[w.Best].Median), append(ours, w.Programs[sidecarName].Median)
		if ratios = append(ratios, *w.Ratio); *w.Ratio <= 0.1 {
			tenth++
		}
	}
	span := func(all []float64) string {
		return number(math.Round(slices.Min(all))) + " to " + number(math.Round(slices.Max(all))) + " µs"
	}
	return fmt.Sprintf("| %s | %s | %.3f to %.2f of opa's, at most a tenth in %d of %d cases |",
		span(opa), span(ours), slices.Min(ratios), slices.Max(ratios), tenth, len(ratios))
}

// rowOf returns the row of a measure whose opa is the fastest.
func rowOf(r report, measure, corpus string) (best row, found bool) {
	for _, w := range r.Rows {
		if !matches(measure, w.Measure) || w.Corpus != corpus {
			continue
		}
		if !found || (w.Programs[w.Best].Median > best.Programs[best.Best].Median) == w.MoreIsBetter {
			best, found = w, true
		}
	}
	return best, found
}
