package gcpacer

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheTargetFollowsTheLiveHeapAndTheMemory(t *testing.T) {
	const gib = 1024 * mib
	for _, tt := range []struct {
		name         string
		memory, live uint64
		serving      bool
		unused       uint64
		rate         float64
		want         int
	}{
		{"a load begins", 24 * gib, 0, false, 0, 0, 2000},
		{"a load has little", 24 * gib, 32 * mib, false, 0, 0, 250},
		{"a load has more than little", 24 * gib, 64 * mib, false, 0, 0, 3200},
		{"a load has much", 24 * gib, 1024 * mib, false, 0, 0, 200},
		{"a load has very much", 24 * gib, 8 * gib, false, 0, 0, 50},
		{"a load on a small machine", gib, 128 * mib, false, 0, 0, 100},
		{"little is served, fast", 24 * gib, 16 * mib, true, 0, 500 * mib, 400},
		{"hardly anything is served, fast", 24 * gib, 2 * mib, true, 0, 500 * mib, 1600},
		{"little is served, slowly", 24 * gib, 16 * mib, true, 0, 5 * mib, 100},
		{"little is served, and nothing asked for", 24 * gib, 16 * mib, true, 0, 0, 50},
		{"much is served, fast", 24 * gib, 64 * mib, true, 0, 500 * mib, 100},
		{"much is served, and much is unused", 24 * gib, 256 * mib, true, 600 * mib, 500 * mib, 100},
		{"much is served, and some is unused", 24 * gib, 256 * mib, true, 256 * mib, 500 * mib, 75},
		{"much is served, and much is unused, slowly", 24 * gib, 256 * mib, true, 600 * mib, 2 * mib, 50},
		{"little is left of much", 24 * gib, 16 * mib, true, 600 * mib, 500 * mib, 400},
		{"very much is served, fast", 24 * gib, 4 * gib, true, 0, 500 * mib, 50},
		{"served on a small machine, fast", 512 * mib, 64 * mib, true, 0, 500 * mib, 50},
		{"served on an unknown machine, fast", 0, 64 * mib, true, 0, 500 * mib, 50},
	} {
		p := &Pacer{memory: tt.memory, serving: tt.serving, unused: tt.unused, rate: rate{now: tt.rate}}
		if got := p.target(tt.live); got != tt.want {
			t.Errorf("%s: %d%%, want %d%%", tt.name, got, tt.want)
		}
	}
}

func TestTheRateIsThatOfAboutTheLastSecond(t *testing.T) {
	now := time.Now()
	r := rate{when: now}
	all := uint64(0)
	run := func(d, step time.Duration, bytesPerSecond float64) {
		for end := now.Add(d); now.Before(end); {
			now = now.Add(step)
			all += uint64(bytesPerSecond * step.Seconds())
			r.add(all, now)
		}
	}
	within := func(when string, low, high float64) {
		t.Helper()
		if got := r.now / mib; got < low || got > high {
			t.Errorf("%s: %.1f MiB/s, want %g to %g", when, got, low, high)
		}
	}
	run(10*time.Second, 50*time.Millisecond, 100*mib)
	within("after ten seconds of it", 99, 101)
	run(10*time.Millisecond, time.Millisecond, 4000*mib)
	within("after 40 MiB at once", 130, 145)
	run(5*time.Second, 5*time.Second, 0)
	within("after five seconds of nothing", 0, 2)
	r.add(all, now)
	r.add(all, now.Add(-time.Hour))
	within("with a clock that stands, or goes back", 0, 2)
}

func TestTheTargetIsAdjustedAtEachCollection(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	limit := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(limit)
	p := New(func(string) string { return "" })
	loading := goal()
	p.Serve()
	eventually(t, "the goal is lower while it serves", func() bool { runtime.GC(); return goal() < loading })
	eventually(t, "the percentage rises as more is allocated", func() bool {
		for range 64 {
			garbage = make([]byte, mib)
		}
		garbage = nil
		runtime.GC()
		return p.now() > minPercent
	})
	fast := p.now()
	kept := make([]byte, 256*mib)
	for i := range kept {
		kept[i] = 1
	}
	eventually(t, "the percentage falls as more is live", func() bool { runtime.GC(); return p.now() < fast })
	runtime.KeepAlive(kept)
	p.Release()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("released at %d%%, want the 100%% before it", got)
	}
	runtime.GC()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("set to %d%% after it was released", got)
	}
}

func TestGOGCAndGOMEMLIMITAreKept(t *testing.T) {
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	limit := debug.SetMemoryLimit(-1)
	p := New(func(name string) string { return map[string]string{"GOGC": "77", "GOMEMLIMIT": "1GiB"}[name] })
	p.Serve()
	p.Release()
	if got := debug.SetGCPercent(77); got != 77 {
		t.Errorf("GOGC=77 became %d", got)
	}
	if got := debug.SetMemoryLimit(-1); got != limit {
		t.Errorf("the memory limit became %d", got)
	}
}

var garbage []byte // a package variable, so that the compiler keeps the allocation

func (p *Pacer) now() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.percent
}

func goal() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func eventually(t *testing.T, claim string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Errorf("not so: %s", claim)
}
