// Package turns lets a long computation share its processor with short ones. A reload works in turns of
// 0.1 ms and yields its thread between two of them, so that decisions do not wait for it.
//
// Without it, the kernel lets a thread compute for a millisecond and more before it looks for one that
// waits. A decision takes a tenth of that, and would wait for most of a reload where the other processors
// are busy. docs/decisions/0011 has the measurements.
package turns

import (
	"context"
	"sync"
	"time"
)

// turns measures one computation. Safe for concurrent use.
type turns struct {
	yield func()

	mu     sync.Mutex
	begun  time.Time
	ends   time.Time // of the current turn
	waited time.Duration
}

// turn is about as long as a decision takes. A call of [yieldProcessor] that finds nobody waiting costs a
// hundredth of it.
const turn = 100 * time.Microsecond

type turnsKey struct{}

// With returns a context in which calls of [Next] end turns.
func With(ctx context.Context) context.Context {
	return context.WithValue(ctx, turnsKey{}, newTurns(yieldProcessor))
}

func newTurns(yield func()) *turns {
	now := time.Now()
	return &turns{yield: yield, begun: now, ends: now.Add(turn)}
}

// Next yields the processor when the current turn is over, and returns ctx's error. Without [With] it only
// returns the error. Safe for concurrent use.
func Next(ctx context.Context) error {
	if t, ok := ctx.Value(turnsKey{}).(*turns); ok {
		t.next()
	}
	return ctx.Err()
}

func (t *turns) next() {
	now := time.Now()
	if !t.over(now) {
		return
	}
	t.yield()
	after := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waited += after.Sub(now)
	t.ends = after.Add(turn)
}

// over is false while the computation has waited for longer than it has worked. On a machine that is busy
// with other programs, each yield costs milliseconds, and without this bound no change would ever serve.
func (t *turns) over(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !now.Before(t.ends) && t.waited <= now.Sub(t.begun)-t.waited
}
