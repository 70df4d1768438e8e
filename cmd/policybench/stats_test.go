package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQuantileInterpolates(t *testing.T) {
	for _, c := range []struct {
		sorted  []float64
		q, want float64
	}{
		{[]float64{7}, 0.5, 7},
		{[]float64{7}, 1, 7},
		{[]float64{1, 2}, 0.5, 1.5},
		{[]float64{1, 2, 10}, 0.5, 2},
		{[]float64{1, 2, 3, 4, 5}, 0.25, 2},
		{[]float64{1, 2, 3, 4, 5}, 0.75, 4},
		{[]float64{0, 100}, 0.999, 99.9},
		{[]float64{3, 9}, 0, 3},
	} {
		if got := quantile(c.sorted, c.q); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("quantile %g of %v is %g, want %g", c.q, c.sorted, got, c.want)
		}
	}
	if !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("no samples have a median")
	}
}

func TestSummaryKeepsTheOrderOfSamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(rapid.Float64Range(0, 1e6), 1, 50).Draw(t, "samples")
		before := slices.Clone(samples)
		s := summarise(samples)
		if !slices.Equal(s.Samples, before) || s.Count != len(before) || s.Max != slices.Max(before) {
			t.Fatalf("%v: %+v", before, s)
		}
		const rounding = 1e-6
		ordered := []float64{slices.Min(before), s.Q1, s.Median, s.Q3, s.Max}
		for i, v := range ordered[1:] {
			if v < ordered[i]-rounding {
				t.Fatalf("out of order: %+v", s)
			}
		}
	})
	if s := summarise(nil); s.Count != 0 || s.Median != 0 {
		t.Errorf("no samples: %+v", s)
	}
}

func TestAStallCountsOncePerInterval(t *testing.T) {
	latencies := []time.Duration{time.Millisecond / 2, 3*time.Millisecond + time.Millisecond/2}
	got, want := correctCoordinatedOmission(latencies, time.Millisecond), []float64{0.5, 0.5, 1.5, 2.5, 3.5}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	quick := slices.Repeat([]time.Duration{time.Millisecond}, 5000)
	p999, longest := tail(append(quick, time.Second))
	if p999 < 900 || longest != 1000 {
		t.Errorf("a stall of 1 s among 5,000 requests gives p99.9 %g ms, maximum %g ms", p999, longest)
	}
}
