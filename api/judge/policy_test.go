package judge_test

import (
	"net/http"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"defenseclaw/api/judge"
	"defenseclaw/engine"
	"defenseclaw/policies"
)

// TestTheDefaultGuardrailUsesTheJudge gives verdicts to the pack's own policy, as one scanner's.
func TestTheDefaultGuardrailUsesTheJudge(t *testing.T) {
	g, err := engine.Load(t.Context(), policies.FS(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		mode     judge.FailMode
		answer   string
		action   string
		severity string
	}{
		{"nothing found", judge.Open, judgement(judge.PII), "allow", "NONE"},
		{"something mild", judge.Open, judgement(judge.PII, "Username"), "allow", "LOW"},
		{"something bad", judge.Open, judgement(judge.PII, "Email Address"), "alert", "HIGH"},
		{"something worse", judge.Open, judgement(judge.PII, "Password"), "block", "CRITICAL"},
		{"failed open", judge.Open, "no", "allow", "NONE"},
		{"failed closed", judge.Closed, "no", "block", "CRITICAL"},
		{"failed by default", "", "no", "block", "CRITICAL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request, _ request) { complete(w, tt.answer) })
			cfg.FailMode = tt.mode
			v := mustJudge(t, mustNew(t, cfg), judge.Completion, aPrompt)
			input, err := ast.InterfaceToValue(map[string]any{
				"direction": "completion", "mode": "action", "scanner_mode": "local", "local_result": v.ScannerResult(),
			})
			if err != nil {
				t.Fatal(err)
			}
			for document, want := range map[string]string{"action": tt.action, "severity": tt.severity} {
				got, defined, err := g.Decide(t.Context(), engine.Path{"defenseclaw", "guardrail", document}, input)
				if err != nil || !defined || got != want {
					t.Errorf("%s of %+v is %v, %v, want %s", document, v.ScannerResult(), got, err, want)
				}
			}
		})
	}
}
