package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A results file, docs/performance/DATE.json, holds the runs of one day.
type results struct {
	Edit   report      `json:"edit"`   // policybench -only "start|edit|memory|storm"
	Decide report      `json:"decide"` // policybench -only "decide|throughput"
	Fleet  fleetReport `json:"fleet"`  // make bench-fleet
}

// A fleetReport is what `make bench-fleet JSON=FILE` writes, as far as the plots need it.
type fleetReport struct {
	Began time.Time  `json:"began"`
	Rows  []fleetRow `json:"rows"`
}

type fleetRow struct {
	Measure string               `json:"measure"`
	Values  map[string][]float64 `json:"values"` // by the number of agents
}

// A plot is one picture and how it is made of results.
type plot struct {
	file string
	draw func(results) (string, error)
}

var plots = []plot{
	{"edit-to-live.svg", plotEdit},
	{"decide.svg", plotDecide},
	{"memory.svg", plotMemory},
	{"fleet.svg", plotFleet},
}

// runPlot makes the pictures of a results file: policybench plot RESULTS.json DIR. It returns the exit code.
func runPlot(args []string, stderr io.Writer) int {
	if len(args) != 2 {
		fmt.Fprintln(stderr, "policybench: plot needs a file of results and a directory: policybench plot RESULTS.json DIR")
		return 2
	}
	if err := writePlots(args[0], args[1]); err != nil {
		fmt.Fprintln(stderr, "policybench:", err)
		return 1
	}
	return 0
}

// writePlots writes the pictures into dir. The same results give the same bytes.
func writePlots(file, dir string) error {
	r, err := readResults(file)
	if err != nil {
		return err
	}
	for _, p := range plots {
		picture, err := p.draw(r)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", file, p.file, err)
		}
		if err := os.WriteFile(filepath.Join(dir, p.file), []byte(picture), 0o644); err != nil { //nolint:gosec // a picture for everybody
			return err
		}
	}
	return nil
}

func readResults(file string) (r results, err error) {
	text, err := os.ReadFile(file) //nolint:gosec // a file that the caller names
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

// tenantsOf returns the medians of a measure by the number of tenants; without a program, of the best opa.
func (r report) tenantsOf(measure, program string) ([]point, error) {
	var points []point
	for _, w := range r.Rows {
		count, ok := strings.CutSuffix(w.Corpus, " tenants")
		s := w.Programs[cmp.Or(program, w.Best)]
		if !ok || !matches(measure, w.Measure) || s.Count == 0 {
			continue
		}
		n, err := strconv.Atoi(strings.ReplaceAll(count, ",", ""))
		if err != nil {
			return nil, fmt.Errorf("the corpus %q: %w", w.Corpus, err)
		}
		if !slices.ContainsFunc(points, func(p point) bool { return p.x == float64(n) }) { // the first: later ones are after a storm, too
			points = append(points, point{float64(n), s.Median})
		}
	}
	if len(points) < 2 {
		return nil, fmt.Errorf("%q of %s: there are %d points, and two are needed for a line", measure, cmp.Or(program, opaName), len(points))
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
	return points, nil
}

// matches compares a measure with a name in which * stands for digits.
func matches(pattern, measure string) bool {
	before, after, found := strings.Cut(pattern, "*")
	if !found {
		return measure == pattern
	}
	middle, ok := strings.CutPrefix(measure, before)
	if ok {
		middle, ok = strings.CutSuffix(middle, after)
	}
	return ok && middle != "" && strings.Trim(middle, "0123456789,") == ""
}

func plotEdit(r results) (string, error) {
	// A file that is moved in is one event. A save by rename is four for opa, which reloads for each.
	const leaf, signature = "edit to live: a leaf, moved in from elsewhere", "edit to live: a library, signature changed"
	opa, err := r.Edit.tenantsOf(leaf, "")
	ours, err2 := r.Edit.tenantsOf(leaf, sidecarName)
	library, err3 := r.Edit.tenantsOf(signature, sidecarName)
	if err := errors.Join(err, err2, err3); err != nil {
		return "", err
	}
	return lineChart{
		title: "From the save of a file to the first answer that shows it (median)",
		alt: fmt.Sprintf("Line chart, both axes logarithmic. A module that is replaced is live after %s in this sidecar, and after %s with opa. "+
			"An edit that changes what a quarter of the modules see takes this sidecar %s.", described(ours, ms), described(opa, ms), described(library, ms)),
		xTitle: "modules in the policy directory", yTitle: "time until it is live", xTicks: xs(ours), xText: number, yText: ms,
		series: []series{
			{name: "opa run --server --watch: one module is replaced", theirs: true, points: opa},
			{name: "this sidecar: a library is edited, and a quarter of all modules must be compiled again", dashed: true, points: library},
			{name: "this sidecar: one module is replaced", points: ours},
		},
	}.svg(), nil
}

func plotMemory(r results) (string, error) {
	opa, err := r.Edit.tenantsOf("memory after * edits", "")
	ours, err2 := r.Edit.tenantsOf("memory after * edits", sidecarName)
	if err := errors.Join(err, err2); err != nil {
		return "", err
	}
	return lineChart{
		title: "Resident memory of the process after edits",
		alt: fmt.Sprintf("Line chart, both axes logarithmic. This sidecar holds %s, and opa %s.",
			described(ours, mb), described(opa, mb)),
		xTitle: "modules in the policy directory", yTitle: "resident memory", xTicks: xs(ours), xText: number, yText: mb,
		series: []series{
			{name: "opa run --server --watch", theirs: true, points: opa},
			{name: "this sidecar", points: ours},
		},
	}.svg(), nil
}

func plotDecide(r results) (string, error) {
	chart := pairChart{
		title:  "Processor time of one decision over HTTP (median)",
		xTitle: "processor time of the server for one decision", xText: us,
	}
	var alt []string
	for _, w := range r.Decide.Rows {
		ours, opa := w.Programs[sidecarName], w.Programs[w.Best]
		if w.Measure != decideTime || ours.Count == 0 || opa.Count == 0 {
			continue
		}
		chart.pairs = append(chart.pairs, pair{name: w.Corpus, ours: ours.Median, theirs: opa.Median})
		alt = append(alt, fmt.Sprintf("%s: %s and %s", w.Corpus, us(ours.Median), us(opa.Median)))
	}
	if len(chart.pairs) == 0 {
		return "", fmt.Errorf("no row %q has both programs", decideTime)
	}
	chart.alt = "Dot chart with a logarithmic axis: this sidecar and opa. " + strings.Join(alt, "; ") + "."
	return chart.svg(), nil
}

func plotFleet(r results) (string, error) {
	acked, err := r.Fleet.agentsOf("record is written → all have acked")
	back, err2 := r.Fleet.agentsOf("canary of 1 %: all know that it was taken back after")
	if err := errors.Join(err, err2); err != nil {
		return "", err
	}
	return lineChart{
		title: "From a signed record to the acknowledgement of every agent",
		alt: fmt.Sprintf("Line chart, both axes logarithmic. All agents have acknowledged an edit after %s (median of 20 edits). "+
			"A release that all refuse is taken back from 1 %% of them, and all know it, after %s.", described(acked, ms), described(back, ms)),
		xTitle: "agents at one broker", yTitle: "time", xTicks: xs(acked), xText: number, yText: ms,
		series: []series{
			{name: "a bad release goes to 1 % first, is refused and taken back; all agents know it (once)", dashed: true, points: back},
			{name: "an edit is acknowledged by all agents (median of 20)", points: acked},
		},
	}.svg(), nil
}

// agentsOf returns the medians of a measure by the number of agents.
func (f fleetReport) agentsOf(measure string) ([]point, error) {
	i := slices.IndexFunc(f.Rows, func(w fleetRow) bool { return w.Measure == measure })
	if i < 0 {
		return nil, fmt.Errorf("the fleet's results have no row %q", measure)
	}
	var points []point
	for agents, samples := range f.Rows[i].Values {
		n, err := strconv.Atoi(agents)
		if err != nil || len(samples) == 0 {
			return nil, fmt.Errorf("%q of %q agents with %d samples: a number of agents and a sample were expected", measure, agents, len(samples))
		}
		points = append(points, point{float64(n), quantile(slices.Sorted(slices.Values(samples)), 0.5)})
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
	return points, nil
}

func xs(points []point) []float64 {
	all := make([]float64, len(points))
	for i, p := range points {
		all[i] = p.x
	}
	return all
}

// described lists the points for a reader who does not see them.
func described(points []point, text func(float64) string) string {
	parts := make([]string, len(points))
	for i, p := range points {
		parts[i] = fmt.Sprintf("%s at %s", text(p.y), number(p.x))
	}
	return strings.Join(parts, ", ")
}

func ms(v float64) string { return inUnit(v, "ms", "s") }
func us(v float64) string { return inUnit(v, "µs", "ms") }
func mb(v float64) string { return inUnit(v, "MB", "GB") }

// inUnit formats a value with its unit, and from 1,000 of it on with the one that is a thousand times as large.
func inUnit(v float64, unit, thousand string) string {
	if v >= 1000 {
		return short(v/1000) + " " + thousand
	}
	return short(v) + " " + unit
}

// short formats with two significant digits, and all digits of the integer part.
func short(v float64) string {
	digits := 0
	for limit := 10.0; digits < 2 && v < limit; limit /= 10 {
		digits++
	}
	return strconv.FormatFloat(roundTo(v, digits), 'f', -1, 64)
}

func roundTo(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}
