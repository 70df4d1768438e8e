package engine

import (
	"context"
	"sync"
	"time"
)

// turns has work go on in turns and, between two of them, lets threads run that wait for its processor. A
// kernel has a thread compute for a millisecond and more before it looks who waits, so a decision, which takes a tenth of
// one, would wait out most of a reload where other processors are busy. For several goroutines.
type turns struct {
	yield func()

	mu     sync.Mutex
	begun  time.Time
	ends   time.Time // the turn under way
	waited time.Duration
}

// turn is as long as a decision takes. What [yieldProcessor] costs when nobody waits is a hundredth of it.
const turn = 100 * time.Microsecond

type turnsKey struct{}

// inTurns has what looks at the context by [nextTurn] work in turns.
func inTurns(ctx context.Context) context.Context {
	return context.WithValue(ctx, turnsKey{}, newTurns(yieldProcessor))
}

func newTurns(yield func()) *turns {
	now := time.Now()
	return &turns{yield: yield, begun: now, ends: now.Add(turn)}
}

// nextTurn lets others run when a turn is over, and returns ctx's error.
func nextTurn(ctx context.Context) error {
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

// over also says no when it has waited for longer than it has worked: on a machine that is busy with
// other things every thread of theirs takes a turn of milliseconds, and no change would serve.
func (t *turns) over(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !now.Before(t.ends) && t.waited <= now.Sub(t.begun)-t.waited
}
