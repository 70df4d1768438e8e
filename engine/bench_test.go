package engine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/enginetest"
)

// BenchmarkDecisionsDuringReloads decides quietly and while the policy is reloaded every 200 ms, in
// turns, and reports the 99th percentile of both and their ratio.
func BenchmarkDecisionsDuringReloads(b *testing.B) {
	files := func(n int) tree {
		t := tree{"p.rego": fmt.Sprintf("package p\nx := %d", n)}
		for i := range 200 {
			t[fmt.Sprintf("m%d.rego", i)] = fmt.Sprintf("package m%d\nallow if input.role == \"r%d\"\n", i, i)
		}
		return t
	}
	src := &editable{files: files(0).fs()}
	e := enginetest.New(b, engine.Config{Source: src.open})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	if _, err := e.Reload(ctx, engine.Trigger{Kind: engine.TriggerAPI}); err != nil {
		b.Fatal(err)
	}
	path := engine.Path{"m1", "allow"}
	decide := func(times []time.Duration, end time.Time) []time.Duration {
		for time.Now().Before(end) {
			start := time.Now()
			if _, _, err := e.Current().Decide(ctx, path, nil); err != nil {
				b.Fatal(err)
			}
			times = append(times, time.Since(start))
		}
		return times
	}
	var quiet, storm []time.Duration
	n := 0
	for b.Loop() {
		quiet = decide(quiet, time.Now().Add(400*time.Millisecond))
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			for {
				n++
				src.set(files(n))
				_, _ = e.Reload(ctx, engine.Trigger{Kind: engine.TriggerAPI})
				select {
				case <-stop:
					return
				case <-tick.C:
				}
			}
		}()
		storm = decide(storm, time.Now().Add(400*time.Millisecond))
		close(stop)
		<-stopped
	}
	p99 := func(times []time.Duration) float64 {
		slices.Sort(times)
		return float64(times[len(times)*99/100].Microseconds())
	}
	b.ReportMetric(p99(quiet), "quiet-p99-µs")
	b.ReportMetric(p99(storm), "storm-p99-µs")
	b.ReportMetric(p99(storm)/max(p99(quiet), 1), "ratio")
	cancel()
	<-ended
}
