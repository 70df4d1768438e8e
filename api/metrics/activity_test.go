package metrics

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// decide has a decision end now that began so long ago.
func decide(m *Metrics, domain, verdict string, took time.Duration) {
	_, d := m.StartDecision(context.Background(), domain, 1, time.Now().Add(-took))
	d.End(verdict)
}

// running is a Metrics that runs in the bubble, at the beginning of a minute.
func running(t *testing.T) *Metrics {
	t.Helper()
	m := create(t, Config{})
	done := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestActivityIsAboutTheLastHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := running(t)
		time.Sleep(time.Second)
		for range 30 { // 4 decisions a second after the beginning of each slot
			for range 3 {
				decide(m, DomainFirewall, "allow", 20*time.Millisecond)
			}
			decide(m, DomainData, VerdictDefined, time.Minute)
			time.Sleep(ActivitySlot)
		}
		parts, _ := m.Activity(ActivitySlot)
		if len(parts) != 31 {
			t.Fatalf("%d parts", len(parts))
		}
		parts = parts[:30] // the last has just begun
		for _, p := range parts {
			if p.Measured != ActivitySlot || p.Latency.Count() != 4 || len(p.Outcomes) != 2 ||
				p.Outcomes[0] != (Outcome{DomainData, VerdictDefined, 1}) || p.Outcomes[1] != (Outcome{DomainFirewall, "allow", 3}) {
				t.Errorf("%+v", p)
			}
			if p50, p99 := p.Latency.Percentile(0.5), p.Latency.P99(); p50 < 10 || p50 > 25 || p99 != 1000 {
				t.Errorf("p50 is %v ms, p99 is %v ms", p50, p99)
			}
		}
		if parts, _ = m.Activity(time.Minute); len(parts) != 6 || parts[4].Latency.Count() != 24 || parts[4].Measured != time.Minute {
			t.Errorf("in minutes: %+v", parts)
		}
		time.Sleep(time.Hour)
		if parts, _ = m.Activity(ActivitySlot); len(parts) != 361 || parts[0].Latency.Count() != 0 || parts[359].Measured != ActivitySlot {
			t.Errorf("an hour later there are %d parts; the first is %+v", len(parts), parts[0])
		}
	})
}

func TestActivityTellsOfTheMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := running(t)
		time.Sleep(3 * time.Second)
		decide(m, DomainData, VerdictUndefined, 0)
		parts, _ := m.Activity(ActivitySlot)
		if len(parts) != 1 || parts[0].Measured != 3*time.Second || parts[0].Outcomes[0].Decisions != 1 {
			t.Errorf("%+v", parts)
		}
		time.Sleep(ActivitySlot)
		decide(m, DomainData, VerdictError, 0)
		parts, _ = m.Activity(ActivitySlot)
		if len(parts) != 2 || parts[0].Measured != ActivitySlot || parts[1].Measured != 3*time.Second || parts[1].Outcomes[0].Verdict != VerdictError {
			t.Errorf("%+v", parts)
		}
	})
}

// A process that stood still, as the machine slept, has not decided at 0 a second meanwhile.
func TestActivityHasGaps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := create(t, Config{}) // which does not run: nothing samples
		time.Sleep(ActivitySlot)
		m.Activity(ActivitySlot)
		time.Sleep(10 * time.Minute)
		decide(m, DomainData, VerdictDefined, 0)
		parts, _ := m.Activity(ActivitySlot)
		if len(parts) != 2 || parts[1].Start.Sub(parts[0].Start) < 9*time.Minute || parts[1].Measured != ActivitySlot || parts[1].Latency.Count() != 1 {
			t.Errorf("%+v", parts)
		}
	})
}

func TestActivityMarksChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := create(t, Config{})
		for n := range 2 * maxMarks {
			m.MarkReload(Mark{At: time.Now(), Status: "reloaded", Trigger: "watch", Generation: uint64(n)})
		}
		time.Sleep(time.Minute)
		m.MarkReload(Mark{At: time.Now(), Status: "failed"})
		if _, marks := m.Activity(time.Minute); len(marks) != maxMarks || marks[0].Generation != maxMarks+1 || marks[maxMarks-1].Status != "failed" {
			t.Errorf("%d marks, %+v", len(marks), marks[0])
		}
		time.Sleep(time.Hour - time.Second)
		if _, marks := m.Activity(time.Minute); len(marks) != 1 {
			t.Errorf("%d marks are of the last hour", len(marks))
		}
	})
}

func BenchmarkActivity(b *testing.B) {
	m, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	decide(m, DomainData, VerdictDefined, 0)
	b.Run("sample", func(b *testing.B) {
		for b.Loop() {
			m.activity.mu.Lock()
			m.activity.sample(time.Now())
			m.activity.mu.Unlock()
		}
	})
	b.Run("answer", func(b *testing.B) {
		for b.Loop() {
			m.Activity(time.Minute)
		}
	})
}
