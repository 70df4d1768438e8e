package sidecar

import (
	"context"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// makeReviewer makes the reviewer, if the mode reviews anything. What it tells and asks is there before it runs.
func (s *Sidecar) makeReviewer() error {
	set := s.cfg.Settings
	mode := review.Mode(set.SafetyMode)
	if mode == "" { // the settings were not resolved, as in tests
		mode = review.ModeReport
	}
	terms, err := review.TermsOf(mode, set.SafetyHold == "always", set.SafetyIncomplete)
	if err != nil || mode == review.ModeOff || set.ValidateOnly {
		return err
	}
	s.reviewer = newReviews(terms, set.SafetyBudget)
	s.reviewer.actor = func(step engine.Step) string {
		return s.who.actor(engine.Report{Trigger: step.Trigger, Result: engine.Success, Generation: step.Candidate, Previous: step.Base, StartedAt: step.StartedAt})
	}
	s.reviewer.tell, s.reviewer.note = s.tellReview, s.noteReview
	s.reviewer.timed = s.timeReview
	s.makeEvidence()
	s.makeGuards()
	return nil
}

// before reports whether a change is reviewed before it serves. v may be nil.
func (v *reviews) before() bool { return v != nil && v.terms.Mode.Before() }

// forEngine is the Review of the engine's Config; nil where nothing is reviewed before the swap.
func (v *reviews) forEngine() func(context.Context, engine.Step) (engine.Verdict, error) {
	if !v.before() {
		return nil
	}
	return v.judge
}

// forAPI is what the API tells of reviews; nil where none are made.
func (v *reviews) forAPI() *api.Reviews {
	if v == nil {
		return nil
	}
	return &api.Reviews{Last: v.Last, Try: v.Try, Tests: v.standing, Process: v.process}
}
