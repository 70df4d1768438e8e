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

// run reviews until ctx ends. A change that follows ends the review of the one before.
func (v *reviews) run(ctx context.Context) error {
	var next after
	for have := false; ; {
		if !have {
			select {
			case <-ctx.Done():
				return nil
			case next = <-v.newest:
			}
		}
		bounded, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func(a after) {
			defer close(done)
			v.reviewAfter(bounded, a)
		}(next)
		have = false
		select {
		case <-done:
		case next = <-v.newest:
			have = true
		case <-ctx.Done():
		}
		cancel()
		<-done
	}
}

// reviewAfter reviews what serves already: nothing becomes of the verdict.
func (v *reviews) reviewAfter(ctx context.Context, a after) {
	if v.served != nil {
		defer v.served(ctx, a.Candidate)
	}
	if a.Base == nil { // the first policy is no change
		return
	}
	j := v.judgedBefore(a.Step)
	if j == nil {
		j = v.review(ctx, a.Step, a.loss)
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
