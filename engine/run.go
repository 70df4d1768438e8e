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
	e.left.Go(func() { e.evaluateAhead(ctx) })
	var held []request // asked by the watch for files that look half-written
	var heldSince time.Time
	again := time.NewTimer(0)
	stopTimer(again)
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
		stopTimer(again)

		report := e.attempt(ctx, mergeTriggers(batch))
		if ctx.Err() != nil && report.Status != StatusSuccess {
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

// patience is how long a refusal may be waited for to pass. Files that keep changing say nothing about
// what they will hold, so that the last good generation serves on, and nothing is said, for longer.
func (e *Engine) patience(r *Refused) time.Duration {
	if errors.Is(r, source.ErrUnsettled) {
		return 10 * e.cfg.Settle
	}
	return e.cfg.Settle
}

// takeWaiting adds everybody who waits now, before reading begins: so each answer speaks of files
// read after it was asked for, and a storm costs one attempt.
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

// halfWritten reports whether a refusal looks like a file whose writer is not done yet. Only the
// watch waits for such a file; whoever asks is answered. A refusal that was reported before is
// not waited for again.
func (e *Engine) halfWritten(r *Report) bool {
	return r.Refused != nil && !r.Trigger.Kind.explicit() && !r.Refused.same(e.refused) &&
		(errors.Is(r.Refused, errCutShort) || errors.Is(r.Refused, source.ErrUnsettled))
}

// mergeTriggers makes one trigger of those that share an attempt: the most explicit one, with
// everybody's paths.
func mergeTriggers(batch []request) Trigger {
	most := slices.MaxFunc(batch, func(a, b request) int {
		return cmp.Compare(a.trigger.Kind.rank(), b.trigger.Kind.rank())
	}).trigger
	var paths []string
	for _, r := range batch {
		paths = append(paths, r.trigger.Paths...)
		most.Recheck = most.Recheck || r.trigger.Recheck
	}
	slices.Sort(paths)
	most.Paths = slices.Compact(paths)
	return most
}

func stopTimer(t *time.Timer) {
	if !t.Stop() {
		select {
		case <-t.C:
		default:
		}
	}
}
