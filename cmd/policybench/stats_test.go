package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQuantilesLieBetweenTheirNeighbours(t *testing.T) {
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
			t.Errorf("quantile %g of %v is %g, not %g", c.q, c.sorted, got, c.want)
		}
	}
	if !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("nothing has a median")
	}
}

func TestASummaryIsInOrderAndKeepsTheSamplesAsTheyCame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(rapid.Float64Range(0, 1e6), 1, 50).Draw(t, "samples")
		before := slices.Clone(samples)
		s := summarise(samples)
		if !slices.Equal(s.Samples, before) || s.Count != len(before) || s.Max != slices.Max(before) {
			t.Fatalf("of %v: %+v", before, s)
		}
		const rounding = 1e-6
		if s.Q1 < slices.Min(before)-rounding || s.Q1 > s.Median+rounding || s.Median > s.Q3+rounding || s.Q3 > s.Max+rounding {
			t.Fatalf("out of order: %+v", s)
		}
	})
	if s := summarise(nil); s.Count != 0 || s.Median != 0 {
		t.Errorf("of nothing: %+v", s)
	}
}

func TestAStallCountsForAllWhoWouldHaveAskedDuringIt(t *testing.T) {
	took := []time.Duration{time.Millisecond / 2, 3*time.Millisecond + time.Millisecond/2}
	if got, want := correctCoordinatedOmission(took, time.Millisecond), []float64{0.5, 0.5, 1.5, 2.5, 3.5}; !slices.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
	quick := slices.Repeat([]time.Duration{time.Millisecond}, 5000)
	p999, longest := tail(append(quick, time.Second))
	if p999 < 900 || longest != 1000 {
		t.Errorf("a stall of a second among five thousand requests shows as %g ms, %g ms", p999, longest)
	}
}
