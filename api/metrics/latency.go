package metrics

import (
	"context"
	"fmt"
	"math"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Latency is how long the decisions since the start took, as the histogram has it. The zero value is of none.
type Latency struct{ buckets []bucket }

// bucket counts decisions that took at most so many milliseconds, those of the buckets below it too.
type bucket struct {
	bound float64
	count uint64
}

// Latency reads the histogram. It takes about as long as a scrape, and no decision waits for it.
func (m *Metrics) Latency() (Latency, error) {
	var all metricdata.ResourceMetrics
	if err := m.reader.Collect(context.Background(), &all); err != nil {
		return Latency{}, fmt.Errorf("read %s: %w", policyLatency, err)
	}
	return latencyIn(&all), nil
}

// latencyIn is the sum of the histogram's series.
func latencyIn(all *metricdata.ResourceMetrics) (l Latency) {
	for _, scoped := range all.ScopeMetrics {
		for _, one := range scoped.Metrics {
			if h, ok := one.Data.(metricdata.Histogram[float64]); ok && one.Name == policyLatency {
				for _, series := range h.DataPoints {
					l.add(series.Bounds, series.BucketCounts)
				}
			}
		}
	}
	return l
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

// plus are the decisions of both.
func (l Latency) plus(other Latency) (sum Latency) {
	if len(l.buckets) == 0 {
		return other
	}
	for i, b := range l.buckets {
		if i < len(other.buckets) {
			b.count += other.buckets[i].count
		}
		sum.buckets = append(sum.buckets, b)
	}
	return sum
}

// Count is how many decisions there were.
func (l Latency) Count() uint64 {
	if len(l.buckets) == 0 {
		return 0
	}
	return l.buckets[len(l.buckets)-1].count
}

// P99 is the 99th percentile; see [Latency.Percentile].
func (l Latency) P99() float64 { return l.Percentile(0.99) }

// Percentile is that below which a share of the decisions is, 0.99 for the 99th, in milliseconds, as near as the buckets tell:
// the highest bound where it is above that, 0 where there was no decision.
func (l Latency) Percentile(share float64) float64 {
	if l.Count() == 0 {
		return 0
	}
	rank := share * float64(l.Count())
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

// add adds a series. All have the same bounds; one more count than bounds is of what is above all.
func (l *Latency) add(bounds []float64, counts []uint64) {
	below := uint64(0)
	for i, n := range counts {
		if i == len(l.buckets) {
			bound := math.Inf(1)
			if i < len(bounds) {
				bound = bounds[i]
			}
			l.buckets = append(l.buckets, bucket{bound: bound})
		}
		below += n
		l.buckets[i].count += below
	}
}
