// Package gcpacer sets the target of Go's garbage collector (GC) from the live heap and the memory of the
// machine.
//
// Without it, at GOGC=100, an operator would see two things. A start with 5,000 modules takes more than twice
// the processor time, since the live heap grows from nothing and each doubling is collected. And with a small
// policy, a few MiB of live heap, the GC runs every few MiB of allocation, all the time while decisions are
// served, and makes some of them slow. A fixed higher GOGC avoids both, but costs gigabytes once a large
// policy is live.
//
// So the target here is headroom in bytes: how much may be allocated between two GCs. During the first load it
// is a part of the memory, with a lower maximum while little is live. While serving it is the smallest of a
// part of the memory, a maximum, and what is allocated in a fifth of a second per MiB of live heap.
// docs/decisions/0006 has the measurements.
package gcpacer

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"defenseclaw/cmd/internal/earlyheap"
)

const (
	mib = 1 << 20

	// During the first load the headroom is this part of the memory, up to a maximum: most of what a load
	// allocates stays.
	loadingPart, maxLoading = 8, 2048 * mib
	// While the load has little live heap, the maximum is lower. A load that ends small then leaves fewer
	// half-empty pages, and one that ends large has paid for few GCs.
	smallHeap, maxSmallLoading = 64 * mib, 80 * mib
	// While it serves.
	servingPart, maxServing = 16, 64 * mib
	// The first load leaves empty space in pages that hold live objects. These pages stay in memory in any
	// case, so the headroom while serving may be this part of them, but no more than the live heap.
	unusedShare = 0.75

	// The headroom in percent of the live heap, which is what GOGC counts.
	minPercent, maxPercent = 50, 1600

	// The headroom while serving is what is allocated in this time for each MiB of live heap. A GC takes
	// about 1 ms per MiB, so it runs for about half a percent of the time.
	timePerMiB = 200 * time.Millisecond
	// The allocation rate is averaged over about this time, so that one reload does not raise the headroom.
	rateSpan = time.Second

	// A limit is lowered to this part for Go's memory limit: the rest is not heap.
	limitRatio = 0.9
)

// Pacer keeps the target of the GC. There is one for the process. Safe for concurrent use.
type Pacer struct {
	memory uint64 // of the machine or container, in bytes; 0: unknown

	mu      sync.Mutex // guards the fields below
	serving bool
	unused  uint64 // empty space that the first load left in pages that hold objects, in bytes
	rate    rate
	percent int // the target set last
	before  int // the target before New, for Release
	done    bool
}

// rate is a moving average of the allocation rate.
type rate struct {
	now  float64 // in bytes per second
	all  uint64  // allocated since the process started, in bytes
	when time.Time
}

// add updates the average. all is what was allocated since the process started.
func (r *rate) add(all uint64, when time.Time) {
	if passed := when.Sub(r.when).Seconds(); passed > 0 {
		weight := 1 - math.Exp(-passed/rateSpan.Seconds())
		r.now += weight * (float64(all-r.all)/passed - r.now)
		r.all, r.when = all, when
	}
}

// New sets the target for the first load. It changes nothing where GOGC is set. Unless GOMEMLIMIT is set, it
// sets Go's memory limit to nine tenths of the limit of the container or of the process, if there is one.
func New(getenv func(string) string) *Pacer {
	if limit := limit(); limit != 0 && getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(limitRatio * float64(limit)))
	}
	p := &Pacer{memory: Memory(), done: getenv("GOGC") != "", rate: rate{when: time.Now()}}
	if p.done {
		return p
	}
	p.percent = p.target(0)
	p.before = earlyheap.Take(debug.SetGCPercent(p.percent))
	p.follow()
	return p
}

// Serve sets the target for the time after the first load, and returns the memory that only the load needed
// to the system.
func (p *Pacer) Serve() {
	p.mu.Lock()
	p.serving = true
	done := p.done
	p.mu.Unlock()
	if done {
		return
	}
	debug.FreeOSMemory() // runs a GC
	unused := []metrics.Sample{{Name: "/memory/classes/heap/unused:bytes"}}
	metrics.Read(unused)
	p.mu.Lock()
	p.unused = unused[0].Value.Uint64()
	p.mu.Unlock()
	p.adjust()
}

// Release restores the target that was set before New.
func (p *Pacer) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		p.done = true
		debug.SetGCPercent(p.before)
	}
}

// follow adjusts the target after each GC: Go has no hook for that, but it runs the cleanup of an object
// that no longer can be reached.
func (p *Pacer) follow() {
	type collected struct{ _ [32]byte } // larger than 16 bytes: tiny objects share a block, which may stay live
	runtime.AddCleanup(new(collected), func(p *Pacer) {
		if p.adjust() {
			p.follow()
		}
	}, p)
}

// adjust sets the target anew. It reports whether to go on: not after Release.
func (p *Pacer) adjust() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return false
	}
	live, allocated := heap()
	p.rate.add(allocated, time.Now())
	percent := p.target(live)
	if moved := percent - p.percent; moved*10 > p.percent || -moved*10 > p.percent { // each call stops the world briefly
		p.percent = percent
		debug.SetGCPercent(percent)
	}
	return true
}

// target returns the headroom in percent of the live heap.
func (p *Pacer) target(live uint64) int {
	live = max(live, 4*mib) // Go's own minimum
	if !p.serving {
		limit := uint64(maxLoading)
		if live < smallHeap {
			limit = maxSmallLoading
		}
		return int(max(minPercent, 100*min(p.memory/loadingPart, limit)/live))
	}
	byRate := uint64(p.rate.now * timePerMiB.Seconds() * float64(live) / mib)
	limit := max(maxServing, min(uint64(unusedShare*float64(p.unused)), live))
	headroom := min(p.memory/servingPart, limit, byRate)
	return int(min(max(minPercent, 100*headroom/live), maxPercent))
}

// heap returns what was live after the last GC, and what was allocated since the process started, in bytes.
func heap() (live, allocated uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
