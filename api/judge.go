package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"defenseclaw/api/domains"
	"defenseclaw/api/internal/decision"
	"defenseclaw/api/judge"
)

// JudgeRequest is the body of POST /v1/guardrail/judge.
type JudgeRequest struct {
	Direction string `json:"direction"` // prompt or completion
	Kind      string `json:"kind"`      // empty: every kind that applies
	Content   string `json:"content"`
}

// judgeText is POST /v1/guardrail/judge: the judge alone, without the policy.
func (s *Server) judgeText(w http.ResponseWriter, r *http.Request) error {
	var in JudgeRequest
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	j := s.judge.Load()
	if j == nil {
		return &decision.HTTPError{
			Status:  http.StatusServiceUnavailable,
			Message: "the judge is off: set judge.base_url and judge.model",
		}
	}
	if in.Content == "" {
		return decision.BadRequest("content is required")
	}
	spelled := func(name string) string { return strings.ToLower(strings.TrimSpace(name)) }
	verdict, err := ask(r.Context(), j, judge.Request{
		Kind: judge.Kind(spelled(in.Kind)), Direction: judge.Direction(spelled(in.Direction)), Content: in.Content,
	})
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, verdict)
	return nil
}

// askJudge asks the judge on behalf of the guardrail; without a judge it returns nil.
func (s *Server) askJudge(ctx context.Context, direction, content string) (*domains.ScannerResult, error) {
	j := s.judge.Load()
	if j == nil {
		return nil, nil
	}
	verdict, err := ask(ctx, j, judge.Request{Direction: judge.Direction(direction), Content: content})
	if err != nil {
		return nil, err
	}
	return new(domains.ScannerResult(verdict.ScannerResult())), nil
}

// ask turns a wrong request into an answer. A judge that fails is none: its fail mode gives the verdict.
func ask(ctx context.Context, j *judge.Judge, in judge.Request) (judge.Verdict, error) {
	verdict, err := j.Assess(ctx, in)
	var wrong *judge.RequestError
	switch {
	case errors.Is(err, judge.ErrContentTooLarge):
		return verdict, &decision.HTTPError{Status: http.StatusRequestEntityTooLarge, Message: err.Error()}
	case errors.As(err, &wrong):
		return verdict, decision.BadRequest("%s", wrong)
	}
	return verdict, err
}
