package api

import (
	"context"
	"errors"
	"net/http"

	"defenseclaw/api/internal/decision"
	"defenseclaw/api/judge"
)

// JudgeRequest is the body of POST /v1/guardrail/judge.
type JudgeRequest struct {
	Direction string `json:"direction"` // prompt or completion
	Kind      string `json:"kind"`      // empty: every kind that applies
	Content   string `json:"content"`
}

// judgeText asks the judge alone. The policy decides nothing here.
func (s *Server) judgeText(w http.ResponseWriter, r *http.Request) error {
	var in JudgeRequest
	if err := decode(r, &in); err != nil {
		return err
	}
	if s.cfg.Judge == nil {
		return &httpError{http.StatusServiceUnavailable, "the judge is off: set judge.base_url and judge.model"}
	}
	if in.Content == "" {
		return badRequest("content is required")
	}
	verdict, err := s.ask(r.Context(), judge.Request{
		Kind: judge.Kind(in.Kind), Direction: judge.Direction(in.Direction), Content: in.Content,
	})
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, verdict)
	return nil
}

// askJudge puts the judge's result beside those of the other scanners, where there is a judge and
// something to judge. Only the sidecar's own judge is heard.
func (s *Server) askJudge(ctx context.Context, g *GuardrailRequest) error {
	g.JudgeResult = nil
	content := g.Content
	g.Content = ""
	if s.cfg.Judge == nil || content == "" {
		return nil
	}
	verdict, err := s.ask(ctx, judge.Request{Direction: judge.Direction(g.Direction), Content: content})
	if err != nil {
		return err
	}
	result := verdict.ScannerResult()
	g.JudgeResult = &result
	return nil
}

// ask tells a wrong request from a judge in trouble, which the judge's fail mode answers by itself.
func (s *Server) ask(ctx context.Context, in judge.Request) (judge.Verdict, error) {
	verdict, err := s.cfg.Judge.Assess(ctx, in)
	var wrong *judge.RequestError
	switch {
	case errors.Is(err, judge.ErrContentTooLarge):
		return verdict, &httpError{http.StatusRequestEntityTooLarge, err.Error()}
	case errors.As(err, &wrong):
		return verdict, badRequest("%s", wrong)
	}
	return verdict, err
}
