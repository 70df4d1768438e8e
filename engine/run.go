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
	var held []request // asked by the watch for files that look half-written
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
		case <-again.C:
		}
		batch = e.takeWaiting(batch)
		again.Stop()

		report := e.attempt(ctx, mergeTriggers(batch))
		if ctx.Err() != nil && report.Result != Success {
			return nil // stopped in the middle: nothing moved, so there is nothing to tell
		}
		if e.halfWritten(&report) {
			if held == nil {
				heldSince = report.StartedAt
			}
			if time.Since(heldSince) < e.patience(report.Refused) {
				held = batch
				again.Reset(e.cfg.Settle / 10)
				continue
			}
		}
		held = nil
		e.conclude(ctx, &report)
		for _, r := range batch {
			r.reply <- report
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
		return cmp.Compare(a.trigger.Kind.rank(), b.trigger.Kind.rank())
	}).trigger
	var paths []string
	for _, r := range batch {
		paths = append(paths, r.trigger.Paths...)
		merged.Recheck = merged.Recheck || r.trigger.Recheck
	}
	slices.Sort(paths)
	merged.Paths = slices.Compact(paths)
	return merged
}

// halfWritten reports whether a refusal looks like a file whose writer is not done yet. Only the watch waits
// for such a file; a caller who asks gets an answer. A refusal that was reported before is not waited for again.
func (e *Engine) halfWritten(r *Report) bool {
	return r.Refused != nil && !r.Trigger.Kind.wantsAnswer() && !r.Refused.same(e.refused) &&
		(errors.Is(r.Refused, errCutShort) || errors.Is(r.Refused, source.ErrUnsettled))
}

// patience is how long the watch waits for a refusal to pass. Files that keep changing say nothing about what
// they will hold, so it waits for them longer, and the last good generation serves on.
func (e *Engine) patience(r *Refused) time.Duration {
	if errors.Is(r, source.ErrUnsettled) {
		return 10 * e.cfg.Settle
	}
	return e.cfg.Settle
}

// conclude publishes how an attempt ended and announces it, if there is something to say. The status comes
// first: who hears of a new generation finds it there.
func (e *Engine) conclude(ctx context.Context, report *Report) {
	repeated := report.Refused != nil && report.Refused.same(e.refused)
	quiet := repeated || report.Result == Unchanged && !report.Healed
	if report.Trigger.Source == nil { // a restored generation says nothing about the engine's own source
		e.refused = report.Refused
	}
	if !quiet || report.Trigger.Kind.wantsAnswer() {
		e.publish(report)
		announce(ctx, e.cfg.Announcements, report, &e.left)
		report.Duration = time.Since(report.StartedAt)
	} else if report.Result == Unchanged && len(report.Trigger.Paths) > 0 {
		e.publish(report)
	}
}
