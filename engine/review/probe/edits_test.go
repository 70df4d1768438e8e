package probe_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"defenseclaw/engine/review/probe"
)

var all = flag.Bool("all", false, "search for every edit of the corpus, and as long as make probe does")

// noon is the time that policies see, so that a search does the same each day.
var noon = time.Unix(1_790_000_000, 0)

// result is what a search found for one edit.
type result struct {
	pack, edit string
	equal      bool // in effect
	found      bool
	same       bool
	took       time.Duration // of the processor
	line       string
}

// searchEdits searches for every edit, of which each nth only, with an input bound: it does the same on every machine.
func searchEdits(t testing.TB, nth, inputs int, seeded bool) (results []result) {
	t.Helper()
	n := 0
	for _, p := range packs(t) {
		seeds := p.seeds
		if !seeded {
			seeds = without(seeds)
		}
		for _, c := range p.edits {
			if n++; n%nth != 0 && (!c.equal() || !seeded) {
				continue
			}
			g := p.after(t, c)
			begun := cpu()
			found, err := probe.Run(t.Context(), p.base, g, seeds, probe.Options{CPU: time.Minute, MaxInput: inputs, MaxFound: 1, At: noon})
			if err != nil {
				t.Fatal(err)
			}
			r := result{pack: p.name, edit: c.name, equal: c.equal(), found: len(found.Found) > 0, same: found.Same, took: cpu() - begun}
			r.line = fmt.Sprintf("%-18s %-28s %5d inputs %6d ms", r.pack, r.edit, found.Inputs, r.took.Milliseconds())
			for _, f := range found.Found {
				r.line += fmt.Sprintf("  %s %s: %s → %s", f.Path, f.Input, f.Before, f.After)
			}
			results = append(results, r)
		}
	}
	return results
}

// told counts the edits with an effect, and those of them that were told apart. An edit that is equal in effect and was
// told apart fails the test.
func told(t testing.TB, results []result) (n, of int) {
	t.Helper()
	for _, r := range results {
		switch {
		case r.equal && r.found:
			t.Errorf("a false alarm: %s", r.line)
		case r.equal:
		case r.found:
			n++
			of++
		default:
			of++
			t.Logf("not told apart: %s", r.line)
		}
	}
	return n, of
}

// TestRealisticEditsAreToldApart has a floor below what was measured: each change of the order of a search moves the
// numbers by a few.
func TestRealisticEditsAreToldApart(t *testing.T) {
	if !*all {
		n, of := told(t, searchEdits(t, 6, 600, true))
		if n*100 < of*70 {
			t.Errorf("with seeds %d of %d edits were told apart", n, of)
		}
		return
	}
	for _, tc := range []struct {
		seeded bool
		floor  int
	}{{true, 55}, {false, 40}} {
		n, of := told(t, searchEdits(t, 1, 4000, tc.seeded))
		t.Logf("seeds %v: %d of %d edits were told apart", tc.seeded, n, of)
		if n < tc.floor {
			t.Errorf("seeds %v: %d edits were told apart, fewer than %d", tc.seeded, n, tc.floor)
		}
	}
}

// BenchmarkEdits prints what a search of a second takes of the processor until it finds something.
func BenchmarkEdits(b *testing.B) {
	b.Run("seeds", func(b *testing.B) { benchmarkEdits(b, true) })
	b.Run("none", func(b *testing.B) { benchmarkEdits(b, false) })
}

func benchmarkEdits(b *testing.B, seeded bool) {
	var times []time.Duration
	n, of := 0, 0
	for b.Loop() {
		times, n, of = measureEdits(b, seeded)
	}
	slices.Sort(times)
	b.ReportMetric(float64(n), "told")
	b.ReportMetric(float64(of), "edits")
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "median-ms")
	b.ReportMetric(float64(times[len(times)*9/10].Microseconds())/1000, "p90-ms")
}

func measureEdits(b *testing.B, seeded bool) (times []time.Duration, n, of int) {
	b.Helper()
	for _, p := range packs(b) {
		seeds := p.seeds
		if !seeded {
			seeds = without(seeds)
		}
		for _, c := range p.edits {
			if c.equal() {
				continue
			}
			g := p.after(b, c)
			begun := cpu()
			r, err := probe.Run(b.Context(), p.base, g, seeds, probe.Options{CPU: time.Second, MaxFound: 1, At: noon})
			if err != nil {
				b.Fatal(err)
			}
			if of++; len(r.Found) > 0 {
				n++
				times = append(times, cpu()-begun)
			}
		}
	}
	return times, n, of
}
