package eval

import (
	"context"
	"time"
)

// deadline ends one evaluation when its time is over or its caller went away. The evaluator asks it at each
// step, so a decision needs no timer, no goroutine and no context of its own. For one goroutine.
type deadline struct {
	caller context.Context //nolint:containedctx // lives as long as the evaluation
	begun  time.Time
	at     time.Time
	own    *allowance // nil: at is the caller's or is final
	steps  uint
	over   bool
}

// allowance is the time of an evaluation that must end before its caller's deadline. It is processor time: a process of
// a low priority may wait longer for a processor than an evaluation takes.
type allowance struct {
	timeout time.Duration
	used    time.Duration // processor time of the process when the evaluation began
	until   time.Time     // the caller's deadline; zero: none
}

// stepsPerLook is the number of steps between two looks at the clock. A look at each step makes a decision
// that walks data about a tenth slower (BenchmarkEvaluate/Walk1MB), and ends it at most
// seven steps sooner.
const stepsPerLook = 8

// newDeadline takes the caller's deadline; now+timeout if it has none. The evaluation's clock, begun, is taken
// here too, so that time.now_ns and the deadline count from one moment.
// newDeadline begins the time of an evaluation. It ends with its caller's deadline. Without one, or where the evaluator is capped
// and its own time ends earlier, it ends after [Evaluator.Timeout]. Whether the caller has left is asked for now and then, since
// a look at a context costs more than a step of most evaluations. The result belongs to one evaluation and to its goroutine:
// another evaluation of the same caller gets a time of its own.
func (e *Evaluator) newDeadline(caller context.Context) *deadline {
	d, timeout := &deadline{caller: caller, begun: time.Now()}, e.Timeout()
	var ok bool
	if d.at, ok = caller.Deadline(); !ok {
		d.at = d.begun.Add(timeout)
	}
	if at := d.begun.Add(timeout); e.cfg.Capped && !at.After(d.at) {
		d.own = &allowance{timeout: timeout, used: processorTime()}
		if ok {
			d.own.until = d.at
		}
		d.at = at
	}
	return d
}

// capped is ctx for an evaluation that knows no deadline of ours, ended when its own time is over.
func (e *Evaluator) capped(ctx context.Context) (context.Context, func()) {
	ctx, end := context.WithCancelCause(ctx)
	d := e.newDeadline(ctx)
	if d.own == nil { // the caller's deadline comes first
		return ctx, func() { end(nil) }
	}
	// The timer may fire before it is assigned: its function waits for that. It is set again while processor time is left, so that
	// what is asked for ends within a millisecond of having used all of it, and never later than its caller wants.
	var timer *time.Timer
	ready := make(chan struct{})
	timer = time.AfterFunc(time.Until(d.at), func() {
		<-ready
		if ctx.Err() != nil {
			return
		}
		if d.passed() {
			end(context.DeadlineExceeded)
			return
		}
		timer.Reset(time.Until(d.at))
	})
	close(ready)
	return ctx, func() { timer.Stop(); end(nil) }
}

// extend looks at what the process has had of the processors when a time is over, and says until when the evaluation may go
// on: the same time if it may not.
func (a *allowance) extend(at time.Time) time.Time {
	left := a.timeout - (processorTime() - a.used)
	if left <= 0 {
		return at
	}
	now := time.Now()
	next := now.Add(max(left, time.Millisecond))
	if !a.until.IsZero() && next.After(a.until) {
		next = a.until
	}
	if !next.After(now) {
		return at
	}
	return next
}

// Cancel is [topdown.Cancel]'s.
func (d *deadline) Cancel() { d.over = true }

// Cancelled is [topdown.Cancel]'s. A caller that goes away is seen at each step; a deadline that passes, within
// stepsPerLook steps. Neither interrupts a builtin, which is one step however long it takes.
func (d *deadline) Cancelled() bool {
	d.steps++
	if !d.over {
		d.over = d.caller.Err() != nil || d.steps%stepsPerLook == 0 && d.passed()
	}
	return d.over
}

// passed reports whether the time is over. An allowance that is left of processor time moves the end: a machine that is busy with
// other things makes no evaluation fail that takes little itself. Only the goroutine of the evaluation calls it.
func (d *deadline) passed() bool {
	if time.Now().Before(d.at) {
		return false
	}
	if d.own == nil {
		return true
	}
	next := d.own.extend(d.at)
	later := next.After(d.at)
	d.at = next
	return !later
}

// cause is why the evaluation ended.
func (d *deadline) cause() error {
	if err := context.Cause(d.caller); err != nil {
		return err
	}
	return context.DeadlineExceeded
}
