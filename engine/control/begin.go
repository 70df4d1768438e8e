package control

import (
	"context"
	"errors"
	"slices"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

// Begin has serve what the record orders, before anything else is loaded. It reports whether the record says what
// serves: then the caller loads the files afterwards, which may change nothing, and restores no other policy of its own.
// accept, which may be nil, refuses entries of the history.
func (g *Governor) Begin(ctx context.Context, accept func(history.Found) error) (governs bool) {
	g.resumeWait(time.Now())
	now := g.Status()
	switch {
	case now.Confirming != nil && g.over():
		g.serveOrSubstitute(ctx, now.Confirming.Base, accept, func(r Record, at time.Time) Record { return r.expire(at) }, Reverted)
		return true
	case now.Pinned != nil && now.Pinned.Revision == "":
		return true // damaged: nothing serves until it is resumed
	case now.Pinned != nil:
		g.serveOrSubstitute(ctx, now.Pinned.Revision, accept, nil, "")
		return true
	case g.keepsApproved() && len(now.Approved) > 0: // what the files hold is a change of it
		g.serveOrSubstitute(ctx, now.Approved[0], accept, nil, "")
		return true
	case !g.guarded() && now.Held != nil: // the mode is another one now
		g.mu.Lock()
		g.now.Held, g.dirty = nil, true
		g.mu.Unlock()
	}
	return false
}

// resumeWait takes up a wait of an earlier process. A clock that was set back to before the order says nothing, so the
// time is over.
func (g *Governor) resumeWait(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.now.Confirming
	if w == nil {
		return
	}
	left := min(w.Left, w.Deadline.Sub(now.Round(0)))
	if now.Before(g.now.At.Add(-time.Second)) {
		left = 0
	}
	g.until = now.Add(left)
}

func (g *Governor) over() bool {
	left, waits := g.left(time.Now())
	return waits && left <= 0
}

// serveOrSubstitute serves the revision or, where its entry is damaged, the newest sound one that was approved. Where
// there is none, nothing serves: not the files that an order refuses.
func (g *Governor) serveOrSubstitute(
	ctx context.Context, revision string, accept func(history.Found) error, then func(Record, time.Time) Record, t Transition,
) {
	wanted := func(r string) bool { return r == revision }
	back, err := g.loadAccepted(ctx, wanted, accept)
	if err != nil {
		g.warn("the policy that an order keeps in service cannot be loaded; the newest sound one that was approved serves instead", err)
		now := g.Status()
		var candidate string
		if now.Confirming != nil {
			candidate = now.Confirming.Candidate
		}
		back, err = g.loadAccepted(ctx, func(r string) bool {
			return r != candidate && !now.refuses(r) && (len(now.Approved) == 0 || slices.Contains(now.Approved, r))
		}, accept)
	}
	if err != nil {
		g.warn("no policy that was approved can be loaded, so none serves; policy resume serves what the files hold", err)
	}
	_, _, err = g.carryOut(ctx, Order{Actor: "startup"}, t, func(now Record, _ *engine.Generation, at time.Time) (Record, *engine.Generation, error) {
		if then != nil {
			now = then(now, at)
		}
		return now, back, nil
	})
	if err != nil && ctx.Err() == nil {
		g.warn("the order that was in force before the restart could not be carried out", err)
	}
}

// loadAccepted makes a generation of the newest sound entry whose revision is wanted.
func (g *Governor) loadAccepted(ctx context.Context, wanted func(revision string) bool, accept func(history.Found) error) (*engine.Generation, error) {
	all, err := g.pasts()
	if err != nil {
		return nil, err
	}
	var reasons []error
	for _, p := range all {
		if !wanted(p.Revision) {
			continue
		}
		found, err := g.cfg.History.Open(ctx, p)
		if err == nil && accept != nil {
			err = accept(found)
		}
		if err == nil {
			var back *engine.Generation
			if back, err = g.engine.Prepare(ctx, found.FS); err == nil {
				return back, nil
			}
		}
		reasons = append(reasons, &DamagedError{p.File, err})
	}
	if len(reasons) == 0 {
		return nil, ErrNotKept
	}
	return nil, errors.Join(reasons...)
}
