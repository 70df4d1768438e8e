package control

import (
	"context"
	"errors"
	"time"

	"defenseclaw/engine"
)

// tick is how often the time that is left is compared with the wall clock and written down.
const tick = time.Second

// Run tells what happened without an order, keeps the record on disk, and goes back to what served before when a
// deadline is over, and has what serves expire, until ctx ends. Call it once.
func (g *Governor) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var retry time.Time // of a revert that failed
	for {
		select {
		case <-ctx.Done():
			g.flush(context.WithoutCancel(ctx))
			return nil
		case <-g.wake:
		case <-timer.C:
		}
		untilExpired, counts := g.stale(time.Now())
		g.flush(ctx)
		left, waits := g.left(time.Now())
		next := time.Duration(0) // 0: when it is woken
		switch {
		case !waits:
		case left > 0:
			g.noteLeft(left)
			next = min(left, tick)
		case time.Now().Before(retry):
			next = time.Until(retry)
		default:
			if err := g.revert(ctx); err != nil && ctx.Err() == nil {
				g.warn("what was not confirmed still serves, since the way back cannot be taken", err)
				retry, next = time.Now().Add(retryPause), retryPause
			}
		}
		if counts && (next == 0 || untilExpired < next) {
			next = min(untilExpired, tick)
		}
		if next > 0 {
			timer.Reset(next)
		}
	}
}

// retryPause is between attempts to go back.
const retryPause = time.Minute

// Settle writes what is ordered now, and returns once it is on disk.
func (g *Governor) Settle(ctx context.Context) error {
	g.wakeUp()
	if err := errors.Join(g.keepNeeded(ctx), g.persist()); err != nil {
		return &NotDurableError{Record: err}
	}
	return nil
}

// flush writes and tells what has gathered.
func (g *Governor) flush(ctx context.Context) {
	g.mu.Lock()
	dirty := g.dirty
	g.dirty = false
	g.mu.Unlock()
	if dirty {
		g.keepWayBack(ctx)
		_ = g.persist() // the status has the error
	}
	_ = g.tell(ctx, nil) // of what has an error that a caller waits for
}

// keepWayBack has on disk what a wait that an edit began goes back to. It takes its time, but not from the deadlines.
func (g *Governor) keepWayBack(ctx context.Context) {
	g.mu.Lock()
	w, known := g.now.Confirming, g.kept
	g.mu.Unlock()
	if w == nil || w.Base == known {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := g.keep(ctx, []string{w.Base})
	if err != nil && ctx.Err() == nil {
		g.warn("what a change goes back to unless it is confirmed is not on disk: a restart would not find it", err)
	}
	g.mu.Lock()
	g.kept = w.Base
	g.mu.Unlock()
}

// tell reports what has gathered and then a change that a caller waits for, if any: its error is the result.
func (g *Governor) tell(ctx context.Context, last *Change) error {
	g.telling.Lock()
	defer g.telling.Unlock()
	g.mu.Lock()
	unsaid := g.unsaid
	g.unsaid = nil
	g.mu.Unlock()
	if g.cfg.Tell == nil {
		return nil
	}
	for _, c := range unsaid {
		if current := g.engine.Current(); current != nil {
			c.Generation = current.Number()
		}
		if err := g.cfg.Tell(ctx, c); err != nil {
			g.warn("a change of control is not in the audit log", err)
		}
	}
	if last == nil || last.Transition == "" {
		return nil
	}
	return g.cfg.Tell(ctx, *last)
}

// persist writes what is ordered now.
func (g *Governor) persist() error {
	g.writing.Lock()
	defer g.writing.Unlock()
	g.mu.Lock()
	now := g.now
	if now.Confirming != nil {
		w := *now.Confirming
		w.Left = max(0, min(w.Left, time.Until(g.until)))
		now.Confirming = &w
	}
	g.mu.Unlock()
	err := write(g.cfg.Path, now, g.keepsApproved())
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil && g.failed == nil {
		defer g.warn("the record of control could not be written: a restart would not know of it", err)
	}
	g.failed = err
	return err
}

// left is the time until the deadline: the shorter of what the wall clock says and of what has passed, so that no clock
// that is set makes it longer.
func (g *Governor) left(now time.Time) (left time.Duration, waits bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.now.Confirming
	if w == nil {
		return 0, false
	}
	return min(g.until.Sub(now), w.Deadline.Round(0).Sub(now.Round(0))), true
}

// noteLeft writes down now and then how much time is left: a restart must not begin anew.
func (g *Governor) noteLeft(left time.Duration) {
	g.mu.Lock()
	w := g.now.Confirming
	if w == nil || w.Left-left < max(tick, w.Left/10) {
		g.mu.Unlock()
		return
	}
	noted := *w
	noted.Left = left
	g.now.Confirming = &noted
	g.mu.Unlock()
	_ = g.persist() // the status has the error
}

// revert goes back because what serves was not confirmed in time.
func (g *Governor) revert(ctx context.Context) error {
	now := g.Status()
	if now.Confirming == nil {
		return nil
	}
	base, err := g.prepare(ctx, now.Confirming.Base)
	if err != nil {
		return err
	}
	by := Order{Actor: deadlineActor, Reason: "not confirmed in time"}
	_, _, err = g.carryOut(ctx, by, Reverted, func(now Record, _ *engine.Generation, at time.Time) (Record, *engine.Generation, error) {
		if now.Confirming == nil || now.Confirming.Base != base.Revision() {
			return now, nil, errOvertaken // it was confirmed in the last moment
		}
		return now.expire(at), base, nil
	})
	if lost := (*NotDurableError)(nil); errors.Is(err, errOvertaken) || errors.As(err, &lost) {
		return nil
	}
	return err
}
