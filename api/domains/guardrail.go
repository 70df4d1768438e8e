package domains

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"defenseclaw/api/internal/decision"

	"go.uber.org/zap"
)

// GuardrailRequest is the body of POST /v1/guardrail/evaluate. Of its fields, EvaluationID, ElapsedMS and Content
// are not for the policy.
type GuardrailRequest struct {
	EvaluationID  string          `json:"evaluation_id"`
	Direction     string          `json:"direction"`
	Mode          string          `json:"mode"`
	Model         string          `json:"model"`
	ScannerMode   string          `json:"scanner_mode"`
	LocalResult   json.RawMessage `json:"local_result"`
	CiscoResult   json.RawMessage `json:"cisco_result"`
	ContentLength int64           `json:"content_length"`
	ElapsedMS     float64         `json:"elapsed_ms"`
	HILT          *HILTWish       `json:"hilt"`
	Content       string          `json:"content"` // for the judge
}

// ScannerResult is what the policy sees of the judge.
type ScannerResult struct {
	Action   string   `json:"action"`
	Severity string   `json:"severity"`
	Findings []string `json:"findings"`
	Reason   string   `json:"reason"`
	IsSafe   bool     `json:"is_safe"`
}

// evaluationID is the form of an evaluation's identifier, which logs repeat.
var evaluationID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}$`) })

// normalize takes names in any spelling: a caller that is refused for one may let the text pass.
func (g *GuardrailRequest) normalize() {
	g.EvaluationID = strings.TrimSpace(g.EvaluationID)
	for _, name := range []*string{&g.Direction, &g.Mode, &g.ScannerMode} {
		*name = strings.ToLower(strings.TrimSpace(*name))
	}
}

func (g *GuardrailRequest) validate() error {
	for _, field := range []struct {
		name, value string
		required    bool
		allowed     []string
	}{
		{"evaluation_id", g.EvaluationID, true, nil},
		{"direction", g.Direction, true, []string{"prompt", "completion"}},
		{"mode", g.Mode, true, []string{"observe", "action"}},
		{"scanner_mode", g.ScannerMode, false, []string{"local", "remote", "both"}},
	} {
		switch {
		case field.value == "" && field.required:
			return decision.BadRequest("%s is required", field.name)
		case field.value != "" && field.allowed != nil && !slices.Contains(field.allowed, field.value):
			return decision.BadRequest("%s is %q; one of %s was expected", field.name, field.value, strings.Join(field.allowed, ", "))
		}
	}
	if !evaluationID().MatchString(g.EvaluationID) {
		return decision.BadRequest("evaluation_id is %.300q; at most 256 letters, digits and . _ : / - were expected, the first a letter or digit",
			g.EvaluationID)
	}
	if g.ContentLength < 0 {
		return decision.BadRequest("content_length is negative")
	}
	if g.ElapsedMS < 0 || math.IsInf(g.ElapsedMS, 0) || math.IsNaN(g.ElapsedMS) {
		return decision.BadRequest("elapsed_ms must be a finite number of at least 0")
	}
	return nil
}

// GuardrailVerdict is the answer to a [GuardrailRequest].
type GuardrailVerdict struct {
	Action         string `json:"action"`
	Severity       string `json:"severity"`
	Reason         string `json:"reason"`
	ScannerSources []any  `json:"scanner_sources"`
}

var (
	guardrailActions    = []string{"allow", "alert", "block", "confirm", "deny", "redact"}
	guardrailSeverities = []string{"NONE", "INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"}
)

// Guardrail answers POST /v1/guardrail/evaluate. It fails closed.
func (a *API) Guardrail(w http.ResponseWriter, r *http.Request) error {
	var request GuardrailRequest
	if err := decision.Decode(r, &request); err != nil {
		return err
	}
	request.normalize()
	if err := request.validate(); err != nil {
		return err
	}
	input, err := request.forPolicy(a.HILT())
	if err != nil {
		return err
	}
	judged, err := a.judge(r.Context(), request)
	if err != nil {
		return err
	}
	g, err := a.Serving() // after the judge, who takes his time
	if errors.Is(err, decision.ErrNoPolicy) {
		return err
	}
	var source foldedSource
	var got rules
	if err == nil {
		source = addJudged(g, input, judged)
		got, err = decide(r.Context(), g, guardrail, input, a.Begin)
	}
	verdict := GuardrailVerdict{
		strings.ToLower(strings.TrimSpace(got.text("action"))), normalSeverity(got.text("severity")),
		got.text("reason"), source.addTo(got.texts("scanner_sources")),
	}
	if err == nil {
		err = cmp.Or(oneOf("action", verdict.Action, guardrailActions), oneOf("severity", verdict.Severity, guardrailSeverities))
	}
	if err != nil {
		a.Logger.Error("guardrail fails closed", zap.String("evaluation_id", request.EvaluationID), zap.Error(err))
		verdict = GuardrailVerdict{
			"block", "HIGH", "guardrail failing closed: the policy could not be evaluated", []any{"policy-outage"},
		}
		if request.Mode == "observe" {
			verdict.Action = "alert"
		}
	}
	decision.WriteJSON(w, http.StatusOK, verdict)
	return nil
}

// oneOf returns an error unless the value of a rule is allowed.
func oneOf(rule, value string, allowed []string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("data.defenseclaw.guardrail.%s is %q; one of %s was expected", rule, value, strings.Join(allowed, ", "))
}

// judge asks the sidecar's own judge; nil if there is none, or nothing to ask about. A result that a request claims is
// not read: there is no field for it.
func (a *API) judge(ctx context.Context, g GuardrailRequest) (*ScannerResult, error) {
	if g.Content == "" {
		return nil, nil
	}
	return a.AskJudge(ctx, g.Direction, g.Content)
}
