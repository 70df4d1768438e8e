package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/regotest"
)

// RecordedTest is the body of GET /policy/recordings/decisions/{id}/test: a Rego test of a recorded decision, which was tried.
type RecordedTest struct {
	DecisionID string   `json:"decision_id"`
	Test       string   `json:"test"`     // a whole file
	File       string   `json:"file"`     // a name for it
	Revision   string   `json:"revision"` // of the policy with which it passes
	Made       bool     `json:"made"`     // that policy made the decision; false: it is not kept, and what serves answers alike
	Notes      []string `json:"notes"`    // what a reader of the test has to know
}

// recordedTest is GET /policy/recordings/decisions/{id}/test. It evaluates as a try does: apart from decisions, a few at a time.
func (s *Server) recordedTest(w http.ResponseWriter, r *http.Request) error {
	h, err := s.openRecord(r)
	if err != nil {
		return err
	}
	leave, err := s.enterTry(r.Context())
	if err != nil {
		return err
	}
	g, made, err := s.decidedBy(r.Context(), h.Record)
	if err != nil {
		leave()
		return err
	}
	test, err := makeTest(r.Context(), g, h.Record, leave)
	if no := new(regotest.NoTestError); errors.As(err, &no) {
		message := no.Error()
		if !made {
			message += " (the policy that decided is not kept: this is by what serves)"
		}
		return &decision.HTTPError{Status: http.StatusConflict, Message: message}
	}
	if err != nil {
		return err
	}
	answer := RecordedTest{
		DecisionID: h.DecisionID, Test: test.Text, File: regotest.Package + ".rego", Revision: g.Revision(), Made: made, Notes: append([]string{}, test.Notes...),
	}
	if !made {
		answer.Notes = append(answer.Notes, "The policy that decided is not kept: the test was tried with what serves.")
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// decidedBy is the generation that made a decision; where it is not kept, what serves.
func (s *Server) decidedBy(ctx context.Context, rec *records.Record) (g *engine.Generation, made bool, err error) {
	serving, err := s.side(ctx, SideServing)
	if err != nil {
		return nil, false, err
	}
	if rec.Revision == serving.Revision() {
		return serving, true, nil
	}
	if !strings.HasPrefix(rec.Revision, "sha256:") || !sideNames.MatchString(rec.Revision) {
		return serving, false, nil
	}
	g, err = s.side(ctx, rec.Revision)
	switch {
	case err == nil:
		return g, true, nil
	case ctx.Err() != nil || errors.Is(err, engine.ErrBusy):
		return nil, false, err
	default: // what is kept may be damaged, or not compile any more
		return serving, false, nil
	}
}

// makeTest evaluates apart from decisions. leave is called when nothing is at work any more, which may be after the answer.
func makeTest(ctx context.Context, g *engine.Generation, rec *records.Record, leave func()) (regotest.Test, error) {
	ctx, cancel := context.WithTimeout(ctx, tryEvaluations*g.Timeout()+tryGrace)
	defer cancel()
	var made regotest.Test
	err := g.Abandonable(ctx, "make a test of a decision", leave, func(ctx context.Context) (err error) {
		made, err = regotest.Of(ctx, g.Alone(g.Timeout()), rec)
		return err
	})
	if err != nil {
		return regotest.Test{}, err // made may still be written
	}
	return made, nil
}

// RecordedTest asks for a Rego test of a recorded decision.
func (c *Client) RecordedTest(ctx context.Context, id string) (answer RecordedTest, err error) {
	if id == "" {
		return answer, errNoID
	}
	return answer, c.get(ctx, "/policy/recordings/decisions/"+url.PathEscape(id)+"/test", &answer)
}
