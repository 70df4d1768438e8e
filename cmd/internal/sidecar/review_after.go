package sidecar

import (
	"context"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// after is a change to review after the swap.
type after struct {
	engine.Step
	loss *engine.Loss
}

// announce never waits. The engine makes one announcement at a time. What was judged before it serves is not reviewed
// again.
func (v *reviews) announce(_ context.Context, r engine.Report) error {
	if r.Result != engine.Success {
		v.look(r)
		return nil
	}
	next := after{engine.Step{Trigger: r.Trigger, StartedAt: r.StartedAt, Base: r.Previous, Candidate: r.Generation}, r.Loss}
	select {
	case <-v.newest: // superseded
	default:
	}
	select {
	case v.newest <- next:
	default: // another one came between
	}
	return nil
}

// judgedBefore is the newest review if it is of the same step and was made before the swap, else nil. What is approved
// serves under another number, so revisions are compared.
func (v *reviews) judgedBefore(s engine.Step) *review.Judgment {
	j := v.Last()
	if !v.terms.Mode.Before() || j == nil || j.Review.Base == nil ||
		j.Review.Base.Revision != s.Base.Revision() || j.Review.Candidate.Revision != s.Candidate.Revision() {
		return nil
	}
	return j
}

// look has tests run that changed, if an attempt found nothing else that did. v may be nil. It never waits.
func (v *reviews) look(r engine.Report) {
	if v == nil || v.retest == nil || r.Result != engine.Unchanged || r.Generation == nil {
		return
	}
	select {
	case <-v.looks:
	default:
	}
	select {
	case v.looks <- r.Generation:
	default: // another one came between
	}
}

// run reviews until ctx ends. A change that follows ends the review of the one before.
func (v *reviews) run(ctx context.Context) error {
	var next *after
	for {
		var work func(context.Context)
		if next == nil {
			select {
			case <-ctx.Done():
				return nil
			case a := <-v.newest:
				next = &a
			case g := <-v.looks:
				work = func(ctx context.Context) { v.runTests(ctx, g) }
			}
		}
		if a := next; a != nil {
			work = func(ctx context.Context) { v.reviewAfter(ctx, *a) }
		}
		next = nil
		bounded, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			work(bounded)
		}()
		select {
		case <-done:
		case a := <-v.newest:
			next = &a
		case <-ctx.Done():
		}
		cancel()
		<-done
	}
}

// runTests runs tests that changed. The review of a change ends it, since it runs them, too.
func (v *reviews) runTests(ctx context.Context, g *engine.Generation) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v.mu.Lock()
	v.testing = cancel
	v.mu.Unlock()
	v.retest(ctx, g)
}

func (v *reviews) endTests() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.testing != nil {
		v.testing()
	}
}

// reviewAfter reviews what serves already: nothing becomes of the verdict.
func (v *reviews) reviewAfter(ctx context.Context, a after) {
	served := func(j *review.Judgment) {
		if v.served != nil {
			v.served(ctx, a.Candidate, j)
		}
	}
	if a.Base == nil { // the first policy is no change
		served(nil)
		return
	}
	j := v.judgedBefore(a.Step)
	if j != nil {
		served(j)
	} else {
		j = v.review(ctx, a.Step, a.loss)
		served(j)
		if ctx.Err() != nil {
			return
		}
		j.Verdict = review.Admitted
		v.keep(judged{Judgment: j})
		if v.tell != nil {
			v.tell(ctx, j)
		}
	}
	if v.note != nil {
		v.note(ctx, j)
	}
}
