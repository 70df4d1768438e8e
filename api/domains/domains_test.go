package domains_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/api/domains"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"go.uber.org/zap"
)

var policy = map[string]string{
	"admission.rego": `package defenseclaw.admission
verdict := v if v := input.scan_result.verdict
reason := sprintf("%d blocked, %d allowed", [count(input.block_list), count(input.allow_list)])`,
	"firewall.rego":      "package defenseclaw.firewall\naction := input.destination\nrule_name := sprintf(\"%v\", [input.port])",
	"sandbox.rego":       "package defenseclaw.sandbox\ndenied_from_request := input.requested_endpoints",
	"audit.rego":         "package defenseclaw.audit\nretain := input.age_days < 10",
	"skill_actions.rego": "package defenseclaw.skill_actions\nshould_block := input.severity == \"HIGH\"",
	"guardrail.rego":     "package defenseclaw.guardrail\naction := input.judge_result.action\nseverity := \"LOW\"",
}

func load(t *testing.T, files map[string]string) *engine.Generation {
	t.Helper()
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	g, err := engine.Load(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// create makes an API over a generation. verdicts collects "label verdict" of every evaluation.
func create(g *engine.Generation, verdicts *[]string) *domains.API {
	return &domains.API{
		Serving: func() (*engine.Generation, error) { return g, nil },
		Begin: func(ctx context.Context, label string, _ *engine.Generation, _ decision.Question) (context.Context, func(string, decision.Answer)) {
			return ctx, func(verdict string, _ decision.Answer) { *verdicts = append(*verdicts, label+" "+verdict) }
		},
		Lists:          func(string, string) (block, allow []any, err error) { return nil, nil, nil },
		AskJudge:       func(context.Context, string, string) (*domains.ScannerResult, error) { return nil, nil },
		HILT:           func() domains.HILT { return domains.HILT{} },
		CountAdmission: func(context.Context, string, string, time.Duration) {},
		Logger:         zap.NewNop(),
	}
}

func ask(t *testing.T, handle func(http.ResponseWriter, *http.Request) error, body string) (answer string, err error) {
	t.Helper()
	w := httptest.NewRecorder()
	err = handle(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body)))
	return strings.TrimSpace(w.Body.String()), err
}

func TestEveryEvaluationTellsItsVerdict(t *testing.T) {
	var verdicts []string
	a := create(load(t, policy), &verdicts)
	for _, c := range []struct {
		handle     func(http.ResponseWriter, *http.Request) error
		body, want string
	}{
		{a.Admission, `{"input":{"target_type":"skill","target_name":"n","scan_result":{"verdict":"clean"}}}`, "admission clean"},
		{a.Firewall, `{"destination":"allow"}`, "firewall allow"},
		{a.Sandbox, `{"skill_name":"s","requested_endpoints":["a"]}`, "sandbox restrict"},
		{a.Sandbox, `{"skill_name":"s"}`, "sandbox allow"},
		{a.Audit, `{"age_days":3}`, "audit retain"},
		{a.Audit, `{"age_days":30}`, "audit expire"},
		{a.SkillActions, `{"severity":"HIGH"}`, "skill-actions block"},
		{a.SkillActions, `{"severity":"LOW"}`, "skill-actions allow"},
		{a.Guardrail, `{"evaluation_id":"e","direction":"prompt","mode":"action"}`, "guardrail "},
	} {
		verdicts = nil
		if _, err := ask(t, c.handle, c.body); err != nil || !slices.Equal(verdicts, []string{c.want}) {
			t.Errorf("%s: %q, %v; want %q", c.body, verdicts, err, c.want)
		}
	}
}

func TestWithoutAPackageAdmissionAndGuardrailFailClosed(t *testing.T) {
	var verdicts []string
	a := create(load(t, map[string]string{"p.rego": "package p"}), &verdicts)
	answer, err := ask(t, a.Admission, `{"input":{"target_type":"skill","target_name":"n"}}`)
	if err != nil || !strings.Contains(answer, `"verdict":"rejected"`) {
		t.Errorf("admission: %s, %v", answer, err)
	}
	answer, err = ask(t, a.Guardrail, `{"evaluation_id":"e","direction":"prompt","mode":"action"}`)
	if err != nil || !strings.Contains(answer, `"action":"block"`) {
		t.Errorf("guardrail: %s, %v", answer, err)
	}
	if answer, err := ask(t, a.Firewall, `{"destination":"d"}`); err == nil {
		t.Errorf("firewall: %s; want an error", answer)
	}
	if want := []string{"admission error", "guardrail error", "firewall error"}; !slices.Equal(verdicts, want) {
		t.Errorf("%q; want %q", verdicts, want)
	}
	a.Serving = func() (*engine.Generation, error) { return nil, decision.ErrNoPolicy }
	if _, err := ask(t, a.Admission, `{"input":{"target_type":"skill","target_name":"n"}}`); !errors.Is(err, decision.ErrNoPolicy) {
		t.Errorf("admission without a policy: %v", err)
	}
	if _, err := ask(t, a.Guardrail, `{"evaluation_id":"e","direction":"prompt","mode":"action"}`); !errors.Is(err, decision.ErrNoPolicy) {
		t.Errorf("guardrail without a policy: %v", err)
	}
}

func TestAdmissionSeesTheSidecarsListsOnly(t *testing.T) {
	var verdicts []string
	a := create(load(t, policy), &verdicts)
	a.Lists = func(_, targetName string) (block, allow []any, err error) {
		return []any{map[string]any{"target_name": targetName}}, nil, nil
	}
	const body = `{"input":{"target_type":"skill","target_name":"n","allow_list":[1,2],"BlockList":[1,2],"scan_result":{"verdict":"clean"}}}`
	if answer, err := ask(t, a.Admission, body); err != nil || !strings.Contains(answer, "1 blocked, 0 allowed") {
		t.Errorf("%s, %v", answer, err)
	}
	a.Lists = func(string, string) (block, allow []any, err error) { return nil, nil, errors.New("disk") }
	if answer, err := ask(t, a.Admission, body); err != nil || !strings.Contains(answer, `"verdict":"rejected"`) {
		t.Errorf("the lists cannot be read: %s, %v", answer, err)
	}
}

func TestTheGuardrailHearsTheSidecarsJudgeOnly(t *testing.T) {
	var verdicts []string
	a := create(load(t, policy), &verdicts)
	const request = `{"evaluation_id":"e","direction":"prompt","mode":"action","content":"text","judge_result":{"action":"allow"}}`
	if answer, err := ask(t, a.Guardrail, request); err != nil || !strings.Contains(answer, "policy-outage") {
		t.Errorf("the caller's own result counts: %s, %v", answer, err)
	}
	a.AskJudge = func(_ context.Context, direction, content string) (*domains.ScannerResult, error) {
		if direction != "prompt" || content != "text" {
			t.Errorf("asked for %s %q", direction, content)
		}
		return &domains.ScannerResult{Action: "alert"}, nil
	}
	if answer, err := ask(t, a.Guardrail, request); err != nil || !strings.Contains(answer, `"action":"alert"`) {
		t.Errorf("%s, %v", answer, err)
	}
}

func TestAGenerationIsAskedAsTheServerAsksIt(t *testing.T) {
	var verdicts []string
	g := load(t, policy)
	a := create(g, &verdicts)
	in := domains.AdmissionInput{TargetType: "skill", TargetName: "n", ScanResult: &domains.ScanResult{More: map[string]any{"verdict": "clean"}}}
	direct, err := domains.EvaluateAdmission(t.Context(), g, in)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := ask(t, a.Admission, `{"input":{"target_type":"skill","target_name":"n","scan_result":{"verdict":"clean"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	var served struct{ Data domains.AdmissionVerdict }
	if err := json.Unmarshal([]byte(answer), &served); err != nil || served.Data != direct {
		t.Errorf("served %+v, direct %+v, %v", served.Data, direct, err)
	}
	in.ScanResult = nil
	if v, err := domains.EvaluateAdmission(t.Context(), g, in); err == nil || v.Verdict != "rejected" {
		t.Errorf("without a verdict: %+v, %v", v, err)
	}
	if got, err := domains.EvaluateFirewall(t.Context(), g, domains.FirewallRequest{Destination: "deny", Port: 1}); err != nil || got != (domains.FirewallAnswer{Action: "deny", RuleName: "1"}) {
		t.Errorf("firewall: %+v, %v", got, err)
	}
}
