package engine

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// minRatio is how many times as long OPA's evaluator must take, from the text of the input to the text of the answer. It is
// asserted where it is measured, in a benchmark: a test must not depend on the machine.
const minRatio = 4

// BenchmarkDecideRatio decides by a program and by a query that package rego prepared, in turns, and reports the median
// nanoseconds and the allocations of both, and the ratio. One run has the whole table.
func BenchmarkDecideRatio(b *testing.B) {
	for _, k := range kinds(b) {
		d := deciderOf(b, k)
		for _, input := range k.Inputs {
			d.input = []byte(input.JSON)
			b.Run(k.Name+"/"+input.Size, d.ratio)
		}
	}
}

func (d decider) ratio(b *testing.B) {
	sides := [2]func(to []byte) []byte{
		func(to []byte) []byte {
			input, err := d.g.ReadInput(d.path, d.input)
			if err != nil {
				b.Fatal(err)
			}
			if to, _, err = d.g.AppendDecision(b.Context(), to[:0], d.path, input); err != nil {
				b.Fatal(err)
			}
			return to
		},
		func(to []byte) []byte {
			input, err := ast.ValueFromReader(bytes.NewReader(d.input))
			if err != nil {
				b.Fatal(err)
			}
			if to, err = d.g.AppendJSON(to[:0], d.evaluate(b, input)); err != nil {
				b.Fatal(err)
			}
			return to
		},
	}
	var texts [2][]byte
	var times [2][]time.Duration
	for i, side := range sides {
		texts[i] = side(nil)
	}
	if !bytes.Equal(texts[0], texts[1]) {
		b.Fatalf("%s, by OPA's evaluator %s", texts[0], texts[1])
	}
	for b.Loop() {
		for i, side := range sides {
			begun := time.Now()
			texts[i] = side(texts[i])
			times[i] = append(times[i], time.Since(begun))
		}
	}
	median := func(of []time.Duration) float64 {
		slices.Sort(of)
		return float64(of[len(of)/2])
	}
	ours, opas := median(times[0]), median(times[1])
	b.ReportMetric(0, "ns/op") // of both together, which says nothing
	b.ReportMetric(ours, "ns")
	b.ReportMetric(opas, "opa-ns")
	b.ReportMetric(opas/ours, "ratio")
	for i, unit := range []string{"allocs", "opa-allocs"} {
		b.ReportMetric(testing.AllocsPerRun(20, func() { texts[i] = sides[i](texts[i]) }), unit)
	}
	if len(times[0]) > 1 && opas < minRatio*ours {
		b.Errorf("OPA's evaluator takes %.1f times as long, and should take at least %d times", opas/ours, minRatio)
	}
}
