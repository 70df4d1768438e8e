package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"defenseclaw/engine"
)

// NotDurableError says that an order is carried out, and that the record of it is not on disk or not in the audit log.
type NotDurableError struct {
	Record error // why a restart would not know of the order; nil when it would
	Audit  error // why the audit log does not; nil when it does
}

func (e *NotDurableError) Error() string {
	switch {
	case e.Record == nil:
		return fmt.Sprintf("it is done, but it is not in the audit log: %s", e.Audit)
	case e.Audit == nil:
		return fmt.Sprintf("it is done, but a restart would not know of it: %s", e.Record)
	default:
		return fmt.Sprintf("it is done, but a restart would not know of it, and it is not in the audit log: %s; %s", e.Record, e.Audit)
	}
}

// Unwrap returns the reasons.
func (e *NotDurableError) Unwrap() []error { return []error{e.Record, e.Audit} }

// order runs in the engine's loop: it makes the next record of the one now, and says which generation serves then; nil:
// the one that does.
type order func(now Record, serving *engine.Generation, at time.Time) (Record, *engine.Generation, error)

// carryOut applies an order, writes it down and tells of it.
func (g *Governor) carryOut(ctx context.Context, by Order, t Transition, o order) (engine.Report, Change, error) {
	var done Change
	var waits bool // for a confirmation, which the order began
	report, err := g.engine.Choose(ctx, engine.Trigger{Actor: by.Actor, Client: by.Client, RequestID: by.RequestID, Order: string(t), Reason: by.Reason},
		func() (*engine.Generation, error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			now, serving := time.Now(), g.engine.Current()
			before := g.now
			next, generation, err := o(before, serving, now)
			if err != nil {
				return nil, err
			}
			g.now = next
			done = g.changed(t, by, revisionOf(serving), revisionOf(serving), now)
			if before.Held != nil && done.Digest == "" {
				done.Digest = before.Held.Digest
			}
			if next.Held == nil {
				g.held = nil
			}
			if next.Confirming == nil {
				g.base = nil
			} else if before.Confirming == nil || !before.Confirming.Deadline.Equal(next.Confirming.Deadline) {
				g.base, g.until, waits = serving, now.Add(next.Confirming.Left), true
			}
			if generation != nil {
				done.To = generation.Revision()
				g.disk.State = relation(g.disk, done.To)
			}
			g.weighFiles(now, by)
			return generation, nil
		})
	if err != nil {
		return report, done, err
	}
	if report.Generation != nil {
		done.Generation = report.Generation.Number()
	}
	g.wakeUp() // a deadline may have come or gone
	lost := &NotDurableError{Record: errors.Join(g.keepNeeded(ctx), g.persist()), Audit: g.tell(ctx, &done)}
	if waits {
		g.mu.Lock()
		g.say(Confirming, by, done.From, done.To, done.Time)
		g.mu.Unlock()
		g.wakeUp()
	}
	if lost.Record != nil || lost.Audit != nil {
		return report, done, lost
	}
	return report, done, nil
}

// relation is that of what the files hold to another generation that serves.
func relation(d Disk, serving string) DiskState {
	switch {
	case d.State == DiskUnknown || d.State == DiskBroken:
		return d.State
	case d.Revision == serving:
		return DiskSame
	default:
		return DiskDiffers
	}
}

// Hold pins what serves.
func (g *Governor) Hold(ctx context.Context, by Order) error {
	_, _, err := g.carryOut(ctx, by, Pinned, func(now Record, serving *engine.Generation, at time.Time) (Record, *engine.Generation, error) {
		next, err := now.hold(by, at, revisionOf(serving))
		return next, nil, err
	})
	return err
}

// Resume ends a pin. What the files hold serves after the next reload, which is the caller's to ask for. resumed is false
// where nothing was pinned.
func (g *Governor) Resume(ctx context.Context, by Order) (resumed bool, err error) {
	if g.Status().Pinned == nil {
		return false, nil
	}
	_, _, err = g.carryOut(ctx, by, Resumed, func(now Record, _ *engine.Generation, at time.Time) (Record, *engine.Generation, error) {
		return now.resume(by, at), nil, nil
	})
	return true, err
}

// Confirm keeps what waits to be confirmed. revision is the beginning of the one that is meant; empty: whatever waits.
// The error wraps [ErrNothingToConfirm] or is an [*OtherError].
func (g *Governor) Confirm(ctx context.Context, by Order, revision string) error {
	_, _, err := g.carryOut(ctx, by, Confirmed, func(now Record, _ *engine.Generation, at time.Time) (Record, *engine.Generation, error) {
		next, err := now.confirm(by, at, revision)
		return next, nil, err
	})
	return err
}

// Approve has the candidate serve that is held under a digest. The error wraps [ErrNothingHeld] or is an [*OtherError].
func (g *Governor) Approve(ctx context.Context, by Order, digest string) (engine.Report, error) {
	report, _, err := g.carryOut(ctx, by, Approved, func(now Record, serving *engine.Generation, at time.Time) (Record, *engine.Generation, error) {
		next, err := now.approveHeld(by, at, digest, revisionOf(serving))
		if err == nil && g.held == nil { // an earlier process held it, and the files were not looked at since
			err = ErrNothingHeld
		}
		return next, g.held, err
	})
	return report, err
}

// Reject keeps the candidate that is held under a digest from being approved.
func (g *Governor) Reject(ctx context.Context, by Order, digest string) error {
	_, _, err := g.carryOut(ctx, by, Rejected, func(now Record, _ *engine.Generation, at time.Time) (Record, *engine.Generation, error) {
		next, err := now.reject(by, at, digest)
		return next, nil, err
	})
	return err
}
