package api

import (
	"errors"
	"net/http"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// dryRun is POST /policy/reload?dry_run=true: what a reload would do. It has no effect.
func (s *Server) dryRun(w http.ResponseWriter, r *http.Request, asked engine.Trigger) error {
	candidate, base, err := s.cfg.Engine.DryRun(r.Context(), asked)
	var refused *engine.Refused
	switch {
	case errors.As(err, &refused):
		decision.WriteJSON(w, http.StatusInternalServerError, DryRunAnswer{
			Status: string(review.Refused), Error: "reload failed: " + refused.Error(), Diagnostics: Diagnostics(refused.Diagnostics),
		})
		return nil
	case err != nil:
		return err
	}
	step := engine.Step{Trigger: asked, Base: base, Candidate: candidate}
	j := s.tryReview(r, step)
	answer := DryRunAnswer{Status: string(j.Verdict), Digest: j.Digest(), Findings: FoundOf(j.Findings), Review: WholeReviewOf(j)}
	answer.Review.Trigger, answer.Review.Candidate.Name = nil, SideDisk
	serving := ""
	if base != nil {
		serving, answer.Review.Base.Name = base.Revision(), SideServing
	}
	s.number(answer.Review)
	if c := s.cfg.Control; c != nil && !c.Takes(serving, candidate.Revision()) {
		answer.Status = string(review.Held)
	}
	status := http.StatusOK
	if answer.Status == string(review.Refused) {
		by := j.Refusal()
		status, answer.Error, answer.Diagnostics = http.StatusInternalServerError, "reload failed: "+by.Error(), Diagnostics(by.Diagnostics)
	}
	decision.WriteJSON(w, status, answer)
	return nil
}

// tryReview reviews a step; where nothing is reviewed, it only says what differs.
func (s *Server) tryReview(r *http.Request, step engine.Step) *review.Judgment {
	if s.cfg.Reviews != nil && step.Base != step.Candidate {
		return s.cfg.Reviews.Try(r.Context(), step)
	}
	j := &review.Judgment{Review: review.Of(step.Base, step.Candidate), Verdict: review.Admitted}
	if loss := s.cfg.Engine.LossOf(step.Base, step.Candidate); loss != nil {
		j.Findings = review.Findings(loss.Documents)
	}
	return j
}

// DryRunAnswer is the body of an answer of POST /policy/reload?dry_run=true.
type DryRunAnswer struct {
	Status      string       `json:"status"`           // admitted, held or refused
	Digest      string       `json:"digest,omitempty"` // of what serves, and of what would
	Review      *Review      `json:"review,omitempty"`
	Findings    []Finding    `json:"findings,omitempty"`
	Error       string       `json:"error,omitempty"` // as a failed reload gives it
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
}
