package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// The steps of [Config].Evaluate, which name parts of [review.Evidence].
const (
	StepReplay = "replay"
	StepProbe  = "probe"

	// StepCoverage is about the candidate alone, which is the base as well then.
	StepCoverage = "coverage"
)

var changeSteps = []string{StepReplay, StepProbe}

// stepsOf are those of ?with=.
func stepsOf(r *http.Request) (steps []string, err error) {
	for _, value := range r.URL.Query()["with"] {
		for name := range strings.SplitSeq(value, ",") {
			if !slices.Contains(changeSteps, name) {
				return nil, decision.BadRequest("with is %q: expected %s", name[:min(len(name), 100)], strings.Join(changeSteps, ", "))
			}
			steps = append(steps, name)
		}
	}
	return steps, nil
}

// evaluate has evidence made about a change.
func (s *Server) evaluate(ctx context.Context, base, candidate *engine.Generation, steps []string) (review.Evidence, error) {
	if s.cfg.Evaluate == nil {
		return review.Evidence{}, &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: "changes are not evaluated here"}
	}
	evidence := s.cfg.Evaluate(ctx, base, candidate, steps)
	return evidence, ctx.Err()
}

// replay is POST /policy/replay: what the recorded decisions say about the step from one side to another. It changes
// nothing; that it is a POST, for those who may change the policy, is for the work that it is and the inputs that it shows.
func (s *Server) replay(w http.ResponseWriter, r *http.Request) error {
	return s.compare(w, r, func(base, candidate *engine.Generation, from, to string) error {
		evidence, err := s.evaluate(r.Context(), base, candidate, []string{StepReplay})
		if err != nil {
			return err
		}
		if evidence.Replay == nil {
			return &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: strings.Join(evidence.Incomplete, "; ")}
		}
		answer := ReplayAnswer{
			Base: &ReviewSide{Name: from, Revision: base.Revision()}, Candidate: ReviewSide{Name: to, Revision: candidate.Revision()},
			Incomplete: list(evidence.Incomplete), Replay: *replayOf(evidence.Replay),
		}
		answer.Base.Modules, _ = base.Counts()
		answer.Candidate.Modules, _ = candidate.Counts()
		decision.WriteJSON(w, http.StatusOK, answer)
		return nil
	})
}

// hideInputs takes what callers asked out of an answer for those who may read and not change. Inputs that a probe found
// stay: it may begin with recorded ones, but what it finds are values of the policy.
func (w *Review) hideInputs() {
	if w.Replay == nil {
		return
	}
	for _, g := range w.Replay.Groups {
		for i := range g.Examples {
			g.Examples[i].Input = nil
		}
	}
}
