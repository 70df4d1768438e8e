package sidecar

import (
	"context"
	"sync"
	"time"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/engine/control"
	"defenseclaw/engine/review"
)

// Reviews say what a change of what serves is, and what becomes of it. A review has four steps, in this order:
//
//	static    what differs, and what callers would lose; some milliseconds, and nothing is evaluated
//	evidence  what evaluations show: tests, recorded decisions, inputs that nobody recorded
//	guards    what the policy's own rules say of the three
//	verdict   admitted, held or refused, by the findings and the [review.Terms] of the process
//
// In the modes enforce and hold it is made by [reviews.judge], as the Review of the engine's Config: before the change
// serves, and while what serves goes on serving. In the mode report it is made by [reviews.run], after the swap and away
// from the announcements, so that no edit waits for it; of a burst of edits the last is reviewed. In the mode off there is
// none. Evidence and guards are functions that may be nil; both have to return soon after their context has ended, and
// both may be called while an earlier call has not returned.
//
// Tests that change alone make no change of what serves. They are run beside it by [reviews.run], which has no verdict, and
// a candidate that was refused or is held is judged again with them.
type reviews struct {
	terms    review.Terms
	budget   time.Duration // of a review before the swap
	evidence evidence
	compare  func(engine.Step, *review.Review) // may be nil; adds which tests came and went, once there is evidence
	guards   guards
	lost     func(base, candidate *engine.Generation) *engine.Loss       // may be nil
	actor    func(engine.Step) string                                    // may be nil
	standing func() *review.Standing                                     // may be nil; how the tests beside what serves are
	process  func() api.ReviewerStatus                                   // may be nil; how the process is that evaluates
	tell     func(context.Context, *review.Judgment)                     // may be nil; called once for each review that came to a verdict
	note     func(context.Context, *review.Judgment)                     // may be nil; called for each review of what serves now
	served   func(context.Context, *engine.Generation, *review.Judgment) // may be nil; called for each generation that serves now, with its review, if there was one
	moved    func(context.Context, engine.Step) bool                     // may be nil; reports whether the tests of a step are others than those that were run
	retest   func(context.Context, *engine.Generation)                   // may be nil; runs tests that changed beside what serves
	timed    func(step string, took time.Duration)                       // may be nil
	control  *control.Governor                                           // nil: nothing is ordered

	newest chan after              // holds one: the newest change of what serves
	looks  chan *engine.Generation // holds one: what serves, and the files hold, as the newest look at them found

	mu      sync.Mutex         // guards the fields below
	last    judged             // the newest
	testing context.CancelFunc // of the tests that changed alone; nil: none are run
}

// evidence evaluates a step, whose static review is known. What it could not do is in the Incomplete of its result.
type evidence func(context.Context, engine.Step, *review.Review) review.Evidence

// guards are the rules of the policy about its own changes.
type guards interface {
	// Judge returns what they say of a step, and the revision of what was asked: empty if there are no guards. Guards that
	// fail or take too long are a finding with the code [review.CodeGuardError].
	Judge(ctx context.Context, s engine.Step, soFar *review.Judgment) (found []review.Finding, revision string)
}

// judged is a review with the generations that it is about, which it keeps in memory.
type judged struct {
	*review.Judgment
	base, candidate *engine.Generation
}

func newReviews(terms review.Terms, budget time.Duration) *reviews {
	return &reviews{terms: terms, budget: budget, newest: make(chan after, 1), looks: make(chan *engine.Generation, 1)}
}

// Last is the newest review; nil before the first. Not to be changed.
func (v *reviews) Last() *review.Judgment {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last.Judgment
}

func (v *reviews) keep(j judged) {
	v.mu.Lock()
	v.last = j
	v.mu.Unlock()
}

// review makes the steps. The verdict is that of the terms, whatever the mode does with it.
func (v *reviews) review(ctx context.Context, s engine.Step, loss *engine.Loss) *review.Judgment {
	j := &review.Judgment{Mode: v.terms.Mode, Trigger: string(s.Trigger.Kind), Override: s.Trigger.Override, At: time.Now().UTC()}
	if v.actor != nil {
		j.Actor = v.actor(s)
	}
	v.step("static", func() {
		j.Review = review.Of(s.Base, s.Candidate)
		if loss == nil && v.lost != nil {
			loss = v.lost(s.Base, s.Candidate)
		}
		if loss != nil {
			j.Findings = review.Findings(loss.Documents)
		}
	})
	if v.evidence != nil && s.Base != nil {
		v.step("evidence", func() { j.Evidence = v.evidence(ctx, s, j.Review) })
		if v.compare != nil {
			v.compare(s, j.Review)
		}
		j.Findings = append(j.Findings, v.terms.Findings(j.Evidence)...)
	}
	if v.guards != nil {
		v.step("guards", func() {
			var found []review.Finding
			found, j.Guards = v.guards.Judge(ctx, s, j)
			j.Findings = append(j.Findings, found...)
		})
	}
	j.Took = time.Since(j.At)
	j.Verdict = v.terms.Verdict(j.Findings)
	if j.Override != "" {
		j.Verdict = review.Admitted
	}
	return j
}

func (v *reviews) step(name string, do func()) {
	begun := time.Now()
	do()
	if v.timed != nil {
		v.timed(name, time.Since(begun))
	}
}
