package main

import (
	"math"
	"slices"
	"time"
)

// A summary is what is told of one measure of one program.
type summary struct {
	Samples   []float64 `json:"samples,omitempty"`
	Count     int       `json:"count"`
	NeverLive int       `json:"never_live,omitempty"` // edits that no answer showed in time; not among the samples
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

// quantile is the value below which the share q of sorted lies, between two neighbours where it
// falls between them. NaN of nothing.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	share := at - float64(below)
	return sorted[below]*(1-share) + sorted[below+1]*share
}

// correctCoordinatedOmission adds the requests that a caller who asks every interval would have made while one
// answer was late, and how long each would have waited. Without them a stall of a second counts as
// one slow request among thousands, when it would have hit a thousand.
func correctCoordinatedOmission(took []time.Duration, interval time.Duration) []float64 {
	all := make([]float64, 0, len(took))
	for _, d := range took {
		for ; d > 0; d -= interval {
			all = append(all, milliseconds(d))
		}
	}
	slices.Sort(all)
	return all
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

const megabyte = 1e6
