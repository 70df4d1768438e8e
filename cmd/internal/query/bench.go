package query

import (
	"context"
	"runtime"
	"slices"
	"time"
)

// Benchmark is what repeated evaluations of a query that was compiled once took, each in nanoseconds.
type Benchmark struct {
	Count  int   `json:"count"`
	Mean   int64 `json:"mean_ns"`
	Min    int64 `json:"min_ns"`
	P50    int64 `json:"p50_ns"`
	P90    int64 `json:"p90_ns"`
	P99    int64 `json:"p99_ns"`
	Max    int64 `json:"max_ns"`
	Bytes  int64 `json:"bytes_per_op"`
	Allocs int64 `json:"allocs_per_op"`
}

// measure runs f count times. It ends at the first error.
func measure(ctx context.Context, count int, f func() error) (*Benchmark, error) {
	took := make([]int64, 0, min(count, 1<<20))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range count {
		begun := time.Now()
		if err := f(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun).Nanoseconds())
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	runtime.ReadMemStats(&after)
	n := int64(count)
	b := &Benchmark{Count: count, Bytes: int64(after.TotalAlloc-before.TotalAlloc) / n, Allocs: int64(after.Mallocs-before.Mallocs) / n}
	for _, ns := range took {
		b.Mean += ns
	}
	b.Mean /= n
	slices.Sort(took)
	at := func(percent int) int64 { return took[min(len(took)*percent/100, len(took)-1)] }
	b.Min, b.P50, b.P90, b.P99, b.Max = took[0], at(50), at(90), at(99), took[len(took)-1]
	return b, nil
}
