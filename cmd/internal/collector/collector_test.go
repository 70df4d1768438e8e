package collector

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheRoomIsByWhatIsLiveAndWhatTheMachineHas(t *testing.T) {
	const gib = 1024 * mib
	for _, tt := range []struct {
		name         string
		memory, live uint64
		serving      bool
		want         int
	}{
		{"a load begins", 24 * gib, 0, false, 3200},
		{"a load has little", 24 * gib, 32 * mib, false, 400},
		{"a load has more than little", 24 * gib, 64 * mib, false, 3200},
		{"a load has much", 24 * gib, 1024 * mib, false, 200},
		{"a load has very much", 24 * gib, 8 * gib, false, 50},
		{"a load on a small machine", gib, 128 * mib, false, 100},
		{"little is served", 24 * gib, 16 * mib, true, 400},
		{"much is served", 24 * gib, 64 * mib, true, 100},
		{"very much is served", 24 * gib, 4 * gib, true, 50},
		{"served on a small machine", 512 * mib, 64 * mib, true, 50},
		{"served on an unknown machine", 0, 64 * mib, true, 50},
	} {
		p := &Pacer{memory: tt.memory, serving: tt.serving}
		if got := p.target(tt.live); got != tt.want {
			t.Errorf("%s: %d%%, want %d%%", tt.name, got, tt.want)
		}
	}
}

func TestTheTargetFollowsWhatIsLive(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	limit := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(limit)
	p := New(func(string) string { return "" })
	loading := goal()
	p.Serve()
	eventually(t, "the goal is lower while it serves", func() bool { runtime.GC(); return goal() < loading })
	little := p.now()
	kept := make([]byte, 256*mib)
	for i := range kept {
		kept[i] = 1
	}
	eventually(t, "the percentage falls as more is live", func() bool { runtime.GC(); return p.now() < little })
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

func TestASettingOfTheOperatorsStays(t *testing.T) {
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
