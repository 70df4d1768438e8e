package main

import (
	"math"
	"slices"
	"time"
)

// A summary describes the samples of one measure of one program.
type summary struct {
	Samples   []float64 `json:"samples,omitempty"`
	Count     int       `json:"count"`
	NeverLive int       `json:"never_live,omitempty"` // number of edits not live before the deadline; not in Samples
	Median    float64   `json:"median"`
	Q1        float64   `json:"q1"`
	Q3        float64   `json:"q3"`
	Max       float64   `json:"max"`
}

func summarise(samples []float64) summary {
	sorted := slices.Sorted(slices.Values(samples))
	if len(sorted) == 0 {
		return summary{}
	}
	return summary{
		Samples: samples, Count: len(sorted),
		Median: quantile(sorted, 0.5), Q1: quantile(sorted, 0.25), Q3: quantile(sorted, 0.75), Max: sorted[len(sorted)-1],
	}
}

// quantile returns the q-quantile of sorted, interpolated between neighbours as numpy and R do by default, or
// NaN if sorted is empty.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	rank := q * float64(len(sorted)-1)
	below := int(rank)
	if below+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	fraction := rank - float64(below)
	return sorted[below]*(1-fraction) + sorted[below+1]*fraction
}

// correctCoordinatedOmission adds the requests that a caller with one request per interval would have sent
// during each slow one, and returns all latencies in ms, sorted. Without them, a stall of a second counts as
// one slow request, although it would have delayed a thousand.
func correctCoordinatedOmission(latencies []time.Duration, interval time.Duration) []float64 {
	all := make([]float64, 0, len(latencies))
	for _, d := range latencies {
		for ; d > 0; d -= interval {
			all = append(all, milliseconds(d))
		}
	}
	slices.Sort(all)
	return all
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

const megabyte = 1e6
