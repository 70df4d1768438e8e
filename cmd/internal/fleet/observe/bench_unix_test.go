//go:build unix

package observe_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet/observe"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

// processor is the time that this process has used of processors, which is the observer's: the broker is a process of its own.
func processor(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkObserver looks at fleets in which every agent has acknowledged since the last look, as after a minute, or none has. It tells what is kept in
// memory for an agent, and the processor time of a look.
func BenchmarkObserver(b *testing.B) {
	for _, agents := range []int{1000, 10_000} {
		for _, all := range []bool{true, false} {
			b.Run(fmt.Sprintf("agents=%d/all=%t", agents, all), func(b *testing.B) { benchmark(b, agents, all) })
		}
	}
}

func benchmark(b *testing.B, agents int, all bool) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := open(b)
	r := s.publish("one", nil)
	sayAll := func() {
		for i := range agents {
			ack := record.Ack{
				Agent: fleettest.Name(i), Instance: "0123456789abcdef", Channel: "prod", Epoch: r.Epoch, Serves: r.Target.Revision, Wanted: r.Target.Revision,
				State: record.Applied, Kept: true, Floor: r.Epoch, Keys: []string{"release-2026+12345678", "stage+12345678"}, Version: "1.2.3",
				Labels: map[string]string{"ring": "canary", "zone": "a", "site": fmt.Sprint(i % 50)}, Since: time.Now(), Sent: time.Now(),
				Counters: record.Counters{Decisions: 123456, P99: 1.25}, Stale: record.Stale{After: 900, Action: "serve"},
			}
			text, err := json.Marshal(ack)
			if err == nil {
				_, err = s.js.PublishAsync(record.AckSubject("prod", ack.Agent), text)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		<-s.js.PublishAsyncComplete()
	}
	sayAll()
	s.see("all", func(seen *observe.Seen) bool { return len(seen.Agents) == agents })
	runtime.GC()
	runtime.ReadMemStats(&after)
	kept := float64(after.HeapAlloc) - float64(before.HeapAlloc)
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		if all {
			sayAll()
		}
		time.Sleep(1100 * time.Millisecond) // what is fresh is not asked for again
		began := processor(b)
		b.StartTimer()
		seen, _ := s.look()
		b.StopTimer()
		used += processor(b) - began
		if len(seen.Agents) != agents || seen.Err != nil {
			b.Fatal(len(seen.Agents), seen.Err)
		}
		b.StartTimer()
	}
	b.ReportMetric(kept/float64(agents), "B/agent")
	b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "cpu-ms/look")
}
