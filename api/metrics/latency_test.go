package metrics

import (
	"testing"
	"time"
)

func TestLatency(t *testing.T) {
	t.Parallel()
	m := create(t, Config{})
	latency := func() Latency {
		t.Helper()
		l, err := m.Latency()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if got := latency().P99(); got != 0 {
		t.Errorf("before any decision: %v ms", got)
	}
	decide := func(domain string, took time.Duration, times int) {
		for range times {
			_, d := m.StartDecision(t.Context(), domain, 1, time.Now().Add(-took))
			d.End("allowed")
		}
	}
	decide(DomainAdmission, time.Hour, 10)
	before := latency()
	if got := before.P99(); got != 1000 {
		t.Errorf("above all bounds: %v ms", got)
	}
	decide(DomainFirewall, 0, 100)
	decide(DomainData, 300*time.Millisecond, 900)
	since := latency().Since(before)
	if got := since.P99(); got < 250 || got > 1000 {
		t.Errorf("where nearly all took 300 ms: %v ms", got)
	}
	if got := latency().Since(latency()).P99(); got != 0 {
		t.Errorf("since just now: %v ms", got)
	}
}

func TestP99IsWithinItsBucket(t *testing.T) {
	t.Parallel()
	l := Latency{buckets: []bucket{{1, 50}, {5, 98}, {10, 100}}}
	if got := l.P99(); got != 7.5 {
		t.Errorf("%v", got)
	}
}
