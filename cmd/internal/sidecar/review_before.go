package sidecar

import (
	"context"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// judge is the Review of the engine's Config: the review before the swap. A candidate that was judged over the same base
// is judged again only if somebody asks.
func (v *reviews) judge(ctx context.Context, s engine.Step) (engine.Verdict, error) {
	base := ""
	if s.Base != nil {
		base = s.Base.Revision()
	}
	candidate, first := s.Candidate.Revision(), s.Base == nil
	if c := v.control; c != nil {
		switch {
		case first || s.Trigger.Kind == engine.TriggerStartup:
			if c.Admits(base, candidate) {
				return engine.Verdict{Reviewed: true}, nil
			}
		case !c.Takes(base, candidate):
			return engine.Verdict{}, nil // it cannot serve, so there is nothing to judge
		}
	}
	asked := s.Trigger.Kind != engine.TriggerWatch && s.Trigger.Kind != engine.TriggerPoll
	v.endTests()
	if before := v.judged(s); before != nil && !asked && !v.testsMoved(ctx, s) {
		return v.act(before)
	}
	j := v.try(ctx, s)
	if err := ctx.Err(); err != nil {
		return engine.Verdict{}, err // dropped: another candidate is on its way, or nobody waits any more
	}
	v.keep(judged{j, s.Base, s.Candidate})
	if v.tell != nil {
		v.tell(ctx, j)
	}
	return v.act(j)
}

// Try reviews a step as the review before the swap does, and has no effect.
func (v *reviews) Try(ctx context.Context, s engine.Step) *review.Judgment { return v.try(ctx, s) }

func (v *reviews) try(ctx context.Context, s engine.Step) *review.Judgment {
	bounded, cancel := context.WithTimeout(ctx, v.budget)
	defer cancel()
	j := v.review(bounded, s, nil)
	if s.Base == nil && v.control != nil && j.Override == "" && v.terms.Mode.Before() && !v.control.Admits("", s.Candidate.Revision()) {
		j.Findings = append(j.Findings, review.Finding{
			Level: review.Hold, Code: review.CodeNotAdmitted,
			Message: "no policy that was admitted can be loaded, and this one never was: there is nothing to review it against",
		})
		j.Verdict = v.terms.Verdict(j.Findings)
	}
	return j
}

// judged is the verdict on a candidate over a base; nil where there is none.
func (v *reviews) judged(s engine.Step) *review.Judgment {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last.base != s.Base || v.last.candidate != s.Candidate {
		return nil
	}
	return v.last.Judgment
}

// testsMoved reports whether a candidate that was judged lies beside other tests now.
func (v *reviews) testsMoved(ctx context.Context, s engine.Step) bool {
	return s.Trigger.Tests && v.moved != nil && v.moved(ctx, s)
}

// act turns a verdict into what the engine does.
func (v *reviews) act(j *review.Judgment) (engine.Verdict, error) {
	if j.Verdict == review.Refused {
		return engine.Verdict{}, j.Refusal()
	}
	return engine.Verdict{Reviewed: true, Hold: j.Verdict == review.Held, Guards: j.Guards}, nil
}
