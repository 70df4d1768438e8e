package metrics

import (
	"fmt"
	"math"

	dto "github.com/prometheus/client_model/go"
)

// Latency is how long the decisions since the start took, as the histogram has it. The zero value is of none.
type Latency struct{ buckets []bucket }

// bucket counts decisions that took at most so many milliseconds, those of the buckets below it too.
type bucket struct {
	bound float64
	count uint64
}

// Latency reads the histogram. It takes about as long as a scrape, and no decision waits for it.
func (m *Metrics) Latency() (l Latency, err error) {
	name, err := prometheusName(m.latency.instrument)
	if err != nil {
		return l, err
	}
	families, err := m.registry.Gather()
	if err != nil {
		return l, fmt.Errorf("read %s: %w", name, err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, series := range family.GetMetric() {
			l.add(series.GetHistogram())
		}
	}
	return l, nil
}

// Since are the decisions of l without those of before.
func (l Latency) Since(before Latency) (d Latency) {
	for i, b := range l.buckets {
		if i < len(before.buckets) {
			b.count -= min(before.buckets[i].count, b.count)
		}
		d.buckets = append(d.buckets, b)
	}
	return d
}

// P99 is the 99th percentile in milliseconds, as near as the buckets tell: the highest bound where it is above that, 0 where
// there was no decision.
func (l Latency) P99() float64 {
	if len(l.buckets) == 0 || l.buckets[len(l.buckets)-1].count == 0 {
		return 0
	}
	rank := 0.99 * float64(l.buckets[len(l.buckets)-1].count)
	low := bucket{}
	for _, b := range l.buckets {
		switch {
		case math.IsInf(b.bound, 1):
			return low.bound
		case float64(b.count) >= rank && b.count > low.count:
			return low.bound + (b.bound-low.bound)*max(0, rank-float64(low.count))/float64(b.count-low.count)
		}
		low = b
	}
	return low.bound
}

// add adds a series. All have the same bounds.
func (l *Latency) add(h *dto.Histogram) {
	infinite := false
	for i, b := range h.GetBucket() {
		if i == len(l.buckets) {
			l.buckets = append(l.buckets, bucket{bound: b.GetUpperBound()})
		}
		l.buckets[i].count += b.GetCumulativeCount()
		infinite = math.IsInf(b.GetUpperBound(), 1)
	}
	if infinite {
		return
	}
	if i := len(h.GetBucket()); i == len(l.buckets) {
		l.buckets = append(l.buckets, bucket{bound: math.Inf(1)})
	}
	l.buckets[len(l.buckets)-1].count += h.GetSampleCount()
}
