// Package gcpacer sets the target of Go's garbage collector by what is live and by what the
// machine has. Its own target, room for as much garbage as is live, has the collector take more than
// half of the time of a first load, and run all the time beside decisions while little is live.
package gcpacer

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	mib = 1 << 20

	// The room for garbage is this part of the machine's memory, and at most so much.
	loadingPart, mostLoading = 8, 2048 * mib
	// So much while little is live: a load that ends small leaves fewer pages that are half empty, and one
	// that does not has paid for few collections.
	littleLive, littleLoading = 64 * mib, 80 * mib
	servingPart, mostServing  = 16, 64 * mib
	// This part of what the first load left empty in pages that hold something: those stay in memory in any case, and
	// most of the garbage fits into them. At most as much as is live.
	unusedShare = 0.75

	// The room is between half of what is live and sixteen times that.
	leastPercent, mostPercent = 50, 1600

	// In between, the room is for what is allocated in so much time for each MiB that is live, which takes the
	// collector about a millisecond: so it runs for no more than a small part of the time.
	pausePerMiB = 200 * time.Millisecond
	// How fast that is, is told by about so much time before: a single reload is no reason for more room.
	rateSpan = time.Second

	// What a container's limit is lowered by, for what is no heap.
	limitRatio = 0.9
)

// Pacer holds the collector's target at what is live and some room. Safe for concurrent use.
type Pacer struct {
	memory uint64 // of the machine or container, in bytes

	mu      sync.Mutex
	serving bool
	unused  uint64 // left by the first load in pages that hold something, in bytes
	rate    rate
	percent int // as set last
	before  int // to be set when the pacer is released
	done    bool
}

// rate is how fast memory is allocated, in bytes per second.
type rate struct {
	now  float64
	all  uint64 // that was ever allocated, in bytes
	when time.Time
}

// add takes in how much was allocated since the last time. What was before counts the less the longer ago it was.
func (r *rate) add(all uint64, when time.Time) {
	if passed := when.Sub(r.when).Seconds(); passed > 0 {
		fresh := 1 - math.Exp(-passed/rateSpan.Seconds())
		r.now += fresh * (float64(all-r.all)/passed - r.now)
		r.all, r.when = all, when
	}
}

// New sets the target for a first load: much room, since most of what it makes stays. A Pacer is one
// for the process. It does nothing where GOGC is set, and leaves the memory limit alone where
// GOMEMLIMIT is; otherwise that is nine tenths of a container's limit.
func New(getenv func(string) string) *Pacer {
	memory, err := memlimit.FromCgroup()
	if err == nil && getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(limitRatio * float64(memory)))
	}
	if err != nil {
		if memory, err = memlimit.FromSystem(); err != nil {
			memory = 0 // unknown: little room
		}
	}
	p := &Pacer{memory: memory, done: getenv("GOGC") != "", rate: rate{when: time.Now()}}
	if p.done {
		return p
	}
	p.percent = p.target(0)
	p.before = debug.SetGCPercent(p.percent)
	p.follow()
	return p
}

// Serve sets the target for what comes after the first load: room by how fast memory is allocated. It
// gives the system back what the load needed beside what stays.
func (p *Pacer) Serve() {
	p.mu.Lock()
	p.serving = true
	done := p.done
	p.mu.Unlock()
	if done {
		return
	}
	debug.FreeOSMemory() // collects, so the target follows
	unused := []metrics.Sample{{Name: "/memory/classes/heap/unused:bytes"}}
	metrics.Read(unused)
	p.mu.Lock()
	p.unused = unused[0].Value.Uint64()
	p.mu.Unlock()
	p.adjust()
}

// Release sets the target that was there before.
func (p *Pacer) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		p.done = true
		debug.SetGCPercent(p.before)
	}
}

// follow has the target adjusted at each collection, by an object that only ever lives until the next.
func (p *Pacer) follow() {
	type collected struct{ _ [32]byte } // larger than what shares its memory with others
	runtime.AddCleanup(new(collected), func(p *Pacer) {
		if p.adjust() {
			p.follow()
		}
	}, p)
}

// adjust reports whether there is a next time.
func (p *Pacer) adjust() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return false
	}
	live, allocated := heap()
	p.rate.add(allocated, time.Now())
	percent := p.target(live)
	if moved := percent - p.percent; moved*10 > p.percent || -moved*10 > p.percent { // each setting stops the world for a moment
		p.percent = percent
		debug.SetGCPercent(percent)
	}
	return true
}

// target is the percentage of garbage to what is live.
func (p *Pacer) target(live uint64) int {
	live = max(live, 4*mib) // Go's own least heap
	if !p.serving {
		if room := min(p.memory/loadingPart, littleLoading); live < littleLive {
			return int(max(leastPercent, 100*room/live))
		}
		return int(max(leastPercent, 100*min(p.memory/loadingPart, mostLoading)/live))
	}
	wanted := uint64(p.rate.now * pausePerMiB.Seconds() * float64(live) / mib)
	room := min(p.memory/servingPart, max(mostServing, min(uint64(unusedShare*float64(p.unused)), live)), wanted)
	return int(min(max(leastPercent, 100*room/live), mostPercent))
}

// heap tells what the last collection left, and how much was ever allocated, in bytes.
func heap() (live, allocated uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
