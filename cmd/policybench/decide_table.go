package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// decideTable writes one line for each policy and input: the best opa's median, ours, and the ratio, each median with half
// the spread of the rounds as its noise.
func (r *report) decideTable(w io.Writer) {
	rows := map[string]map[string]row{} // by corpus and measure
	var order []string
	for _, one := range r.Rows {
		if !strings.HasPrefix(one.Measure, decidePrefix) {
			continue
		}
		if rows[one.Corpus] == nil {
			rows[one.Corpus] = map[string]row{}
			order = append(order, one.Corpus)
		}
		rows[one.Corpus][one.Measure] = one
	}
	if len(order) == 0 {
		return
	}
	fmt.Fprintln(w, "\nA decision over HTTP: the best opa → defenseclaw (ratio).")
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| policy, input\t| bytes\t| processor time, µs\t| throughput, /s\t| median, ms\t| 99th percentile, ms\t| allocations\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, corpus := range order {
		of := rows[corpus]
		cells := []string{corpus, grouped(fmt.Sprint(of[decideTime].InputBytes))}
		for _, measure := range []string{decideTime, decideRate, decideMedian, decidePercentile, decideMallocs} {
			cells = append(cells, comparison(of[measure]))
		}
		fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| "))
	}
	_ = t.Flush()
	quarters(w, rows, order)
	fmt.Fprintln(w, "\nMedian ± half the spread of the rounds. Each cell compares with the opa settings that are best in it; by processor time:")
	for _, corpus := range order {
		if best := rows[corpus][decideTime].Best; best != "" {
			fmt.Fprintf(w, "%s: %s. ", corpus, best)
		}
	}
	fmt.Fprintln(w)
}

// comparison is the cell of one measure.
func comparison(w row) string {
	ours := noisy(w.Programs[sidecarName])
	if w.Ratio == nil {
		return ours
	}
	return fmt.Sprintf("%s → %s (%s)", noisy(w.Programs[w.Best]), ours, ratioText(*w.Ratio))
}

// noisy is a median with its noise in percent, which one round alone does not have.
func noisy(s summary) string {
	switch {
	case s.Count == 0:
		return "–"
	case s.Count == 1 || s.Median == 0:
		return number(s.Median)
	}
	spread := slices.Max(s.Samples) - slices.Min(s.Samples)
	return fmt.Sprintf("%s ±%s %%", number(s.Median), number(math.Ceil(50*spread/s.Median)))
}

// quarters says in how many cases the sidecar needs at most a quarter of the best opa's processor time, and names the others.
func quarters(w io.Writer, rows map[string]map[string]row, order []string) {
	var compared int
	var above []string
	for _, corpus := range order {
		ratio := rows[corpus][decideTime].Ratio
		if ratio == nil {
			continue
		}
		compared++
		if *ratio > 0.25 {
			above = append(above, fmt.Sprintf("%s (%s)", corpus, ratioText(*ratio)))
		}
	}
	if compared > 0 {
		fmt.Fprintf(w, "\nAt most a quarter of the best opa's processor time in %d of %d cases.", compared-len(above), compared)
	}
	if len(above) > 0 {
		fmt.Fprintf(w, " More: %s.", strings.Join(above, ", "))
	}
	fmt.Fprintln(w)
}
