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
	steps  uint
	over   bool
}

// stepsPerLook is the number of steps between two looks at the clock. A look at each step makes a decision
// that walks data about a tenth slower (BenchmarkEvaluate/Walk1MB), and ends it at most
// seven steps sooner.
const stepsPerLook = 8

// newDeadline takes the caller's deadline; now+timeout if it has none. The evaluation's clock, begun, is taken
// here too, so that time.now_ns and the deadline count from one moment.
func newDeadline(caller context.Context, timeout time.Duration) *deadline {
	d := &deadline{caller: caller, begun: time.Now()}
	var ok bool
	if d.at, ok = caller.Deadline(); !ok {
		d.at = d.begun.Add(timeout)
	}
	return d
}

// Cancel is [topdown.Cancel]'s.
func (d *deadline) Cancel() { d.over = true }

// Cancelled is [topdown.Cancel]'s. A caller that goes away is seen at each step; a deadline that passes, within
// stepsPerLook steps. Neither interrupts a builtin, which is one step however long it takes.
func (d *deadline) Cancelled() bool {
	d.steps++
	if !d.over {
		d.over = d.caller.Err() != nil || d.steps%stepsPerLook == 0 && !time.Now().Before(d.at)
	}
	return d.over
}

// cause is why the evaluation ended.
func (d *deadline) cause() error {
	if err := context.Cause(d.caller); err != nil {
		return err
	}
	return context.DeadlineExceeded
}
