package engine

import (
	"context"
	"sync/atomic"
	"time"
)

// deadline ends one evaluation: when its time is over, or its caller went away. It is asked at each
// step rather than told, so that a decision starts no goroutine and makes no context of its own.
type deadline struct {
	caller context.Context //nolint:containedctx // lives as long as the evaluation
	begun  time.Time
	at     time.Time
	timer  *time.Timer // nil where the caller has a deadline
	over   atomic.Bool
}

// begin gives an evaluation so much time; the caller's own deadline, where it has one, stands instead.
func (p *plans) begin(caller context.Context, timeout time.Duration) *deadline {
	now := time.Now()
	if at, ok := caller.Deadline(); ok {
		return &deadline{caller: caller, begun: now, at: at}
	}
	d, ok := p.deadlines.Get().(*deadline)
	if !ok {
		d = &deadline{}
		d.timer = time.AfterFunc(timeout, d.Cancel)
	} else {
		d.timer.Reset(timeout)
	}
	d.caller, d.begun, d.at = caller, now, now.Add(timeout)
	return d
}

// end gives back what the next evaluation can use. One whose timer has fired may be told so late.
func (p *plans) end(d *deadline) {
	if d.timer != nil && d.timer.Stop() {
		d.caller = nil
		p.deadlines.Put(d)
	}
}

// Cancel is [topdown.Cancel]'s.
func (d *deadline) Cancel() { d.over.Store(true) }

// Cancelled is [topdown.Cancel]'s.
func (d *deadline) Cancelled() bool { return d.over.Load() || d.caller.Err() != nil }

// cause is why the evaluation ended.
func (d *deadline) cause() error {
	if err := context.Cause(d.caller); err != nil {
		return err
	}
	return context.DeadlineExceeded
}
