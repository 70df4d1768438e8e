package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"defenseclaw/engine/source"
)

type request struct {
	trigger Trigger
	reply   chan Report // holds one: the loop never waits for a caller that went away
}

// Run owns every attempt until ctx ends, then waits for what is under way. Call it once.
func (e *Engine) Run(ctx context.Context) error {
	defer close(e.stopped)
	defer e.left.Wait()
	e.left.Go(func() { e.hot.run(ctx) })
	var held []request // wait for another attempt before they are answered
	var heldSince time.Time
	again := time.NewTimer(0)
	again.Stop()
	defer again.Stop()
	for {
		batch := held
		select {
		case <-ctx.Done():
			return nil
		case r := <-e.requests:
			batch = append(batch, r)
		case <-e.pings:
			continue
		case c := <-e.choices:
			e.serveChosen(ctx, c)
			continue
		case <-again.C:
			if batch == nil {
				batch = []request{e.ownRequest()}
			}
		}
		batch = e.takeWaiting(batch)
		again.Stop()

		report := e.attempt(ctx, mergeTriggers(batch))
		for report.newer != nil {
			batch = e.takeWaiting(append(batch, *report.newer))
			report = e.attempt(ctx, mergeTriggers(batch))
		}
		if ctx.Err() != nil && report.Result != Success {
			return nil // stopped in the middle: nothing moved, so there is nothing to tell
		}
		if held == nil {
			heldSince = report.StartedAt
		}
		if pause := e.pause(&report, time.Since(heldSince)); pause > 0 {
			held = batch
			again.Reset(pause)
			continue
		}
		held = nil
		e.conclude(ctx, &report)
		for _, r := range batch {
			r.reply <- report
		}
		if report.Refused.starved() || report.Refused.awaits() > 0 || report.Refused.unsigned() && report.Trigger.reads() {
			again.Reset(retryPause) // nothing may happen that the watch would report
		}
	}
}

// takeWaiting adds all requests that wait now, before reading begins: so each answer speaks of files read after
// it was asked for, and a storm costs one attempt.
func (e *Engine) takeWaiting(batch []request) []request {
	for {
		select {
		case r := <-e.requests:
			batch = append(batch, r)
		default:
			return batch
		}
	}
}

// mergeTriggers makes one trigger of those that share an attempt: the most explicit one, with all paths.
func mergeTriggers(batch []request) Trigger {
	merged := slices.MaxFunc(batch, func(a, b request) int {
		return cmp.Or(cmp.Compare(a.trigger.Kind.rank(), b.trigger.Kind.rank()), cmp.Compare(a.trigger.overrides(), b.trigger.overrides()))
	}).trigger
	var paths []string
	for _, r := range batch {
		paths = append(paths, r.trigger.Paths...)
		merged.AcceptRemovals = merged.AcceptRemovals || r.trigger.AcceptRemovals
		merged.Recheck = merged.Recheck || r.trigger.Recheck
		merged.Tests = merged.Tests || r.trigger.Tests
		if merged.Confirm == 0 || r.trigger.Confirm > 0 && r.trigger.Confirm < merged.Confirm {
			merged.Confirm = r.trigger.Confirm
		}
	}
	slices.Sort(paths)
	merged.Paths = slices.Compact(paths)
	return merged
}

// halfWritten reports whether a refusal looks like a file whose writer is not done yet. Only the watch waits
// for such a file; a caller who asks gets an answer. A refusal that was reported before is not waited for again.
func (e *Engine) halfWritten(r *Report) bool {
	return r.Refused != nil && !e.cfg.Whole && !r.Trigger.Kind.wantsAnswer() && !r.Refused.same(e.refused) &&
		(errors.Is(r.Refused, errCutShort) || errors.Is(r.Refused, source.ErrUnsettled) || r.Refused.unsigned())
}

// retryPause is the maximum time between attempts while there are no descriptors, or files keep vanishing.
const retryPause = 2 * time.Second

// pause returns after what time to try again before the callers are answered, when they have waited that long
// already; 0 means not to. Files that keep changing say nothing about what they will hold, so the watch waits for
// them longer, and the last good generation serves on. Running out of descriptors says nothing about the files,
// so every caller waits, half of an attempt's time at most. Every caller waits for missing files, too; the bound is
// for a directory that loses one after the other.
func (e *Engine) pause(r *Report, waited time.Duration) time.Duration {
	patience, pause := time.Duration(0), e.cfg.Settle/10
	switch {
	case r.Refused.starved():
		patience, pause = e.cfg.Timeout/2, min(max(pause, waited), retryPause)
	case r.Refused.awaits() > 0:
		patience, pause = 5*time.Duration(e.removal.Load()), min(r.Refused.awaits(), max(e.cfg.Settle/4, time.Millisecond))
	case !e.halfWritten(r):
	case errors.Is(r.Refused, source.ErrUnsettled), r.Refused.unsigned():
		patience = 10 * e.cfg.Settle
	default:
		patience = e.cfg.Settle
	}
	if waited >= patience {
		return 0
	}
	return pause
}

// ownRequest asks for an attempt that no caller asked for. Of files that wait for their signature, those are read that
// changed.
func (e *Engine) ownRequest() request {
	return request{trigger: Trigger{Kind: TriggerPoll, Recheck: !e.refused.unsigned()}, reply: make(chan Report, 1)}
}

// conclude publishes how an attempt ended and announces it, if there is something to say. The status comes
// first: who hears of a new generation finds it there.
func (e *Engine) conclude(ctx context.Context, report *Report) {
	repeated := report.Refused != nil && report.Refused.same(e.refused)
	repeated = repeated || report.repeated && !report.Noticed
	quiet := repeated || report.Result == Unchanged && !report.Healed && !report.Noticed
	tell := !quiet || report.Trigger.Kind.wantsAnswer()
	if tell || !report.Noticed {
		e.noticed = report.Ignored
	}
	if report.Trigger.reads() { // a restored or chosen generation says nothing about the engine's own source
		e.refused = report.Refused
	}
	if tell {
		e.publish(report)
		announce(ctx, e.cfg.Announcements, report, &e.left)
		report.Duration = time.Since(report.StartedAt)
	} else if report.Result == Unchanged && len(report.Trigger.Paths) > 0 || !report.Ignored.Equal(e.Status().Last.Ignored) {
		e.publish(report)
	}
}
