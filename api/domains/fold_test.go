package domains_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"defenseclaw/api/domains"
)

// deaf is a guardrail policy that reads nothing of the judge, as the original's. It says what it sees of the scanner.
const deaf = `package defenseclaw.guardrail
rank := {"NONE": 0, "LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}
severity := input.local_result.severity if rank[input.local_result.severity]
else := "NONE"
action := "block" if { input.model == "someone-must-speak"; input.local_result == null }
else := "block" if rank[severity] >= 4
else := "alert" if rank[severity] >= 2
else := "allow"
scanner_sources contains "local-pattern" if input.local_result
reason := json.marshal(input.local_result)`

func judgedBy(result *domains.ScannerResult) func(context.Context, string, string) (*domains.ScannerResult, error) {
	return func(context.Context, string, string) (*domains.ScannerResult, error) { return result, nil }
}

func TestAPolicyThatIsDeafToTheJudgeHearsItAsTheLocalScanner(t *testing.T) {
	var verdicts []string
	a := create(load(t, map[string]string{"guardrail.rego": deaf}), &verdicts)
	attack := &domains.ScannerResult{Action: "block", Severity: "CRITICAL", Findings: []string{"JUDGE-INJ-CONTEXT"}, Reason: "injection: 3 findings"}
	mild := &domains.ScannerResult{Action: "alert", Severity: "MEDIUM", Findings: []string{"JUDGE-INJ-TOKEN"}, Reason: "injection: 1 finding"}
	safe := &domains.ScannerResult{Action: "allow", Severity: "NONE", Findings: []string{}, Reason: "nothing found", IsSafe: true}
	for _, c := range []struct {
		judge       *domains.ScannerResult
		local, want string
		action      string
		source      bool
	}{
		{attack, `null`, `{"action":"block","findings":["JUDGE-INJ-CONTEXT"],"is_safe":false,"reason":"llm-judge: injection: 3 findings","severity":"CRITICAL"}`, "block", true},
		{attack, `{"action":"allow","severity":"NONE","findings":[],"reason":"clean","is_safe":true}`,
			`{"action":"block","findings":["JUDGE-INJ-CONTEXT"],"is_safe":false,"reason":"clean; llm-judge: injection: 3 findings","severity":"CRITICAL"}`, "block", true},
		{mild, `{"action":"block","severity":"CRITICAL","findings":["P1"],"reason":"pattern"}`,
			`{"action":"block","findings":["P1","JUDGE-INJ-TOKEN"],"is_safe":false,"reason":"pattern; llm-judge: injection: 1 finding","severity":"CRITICAL"}`, "block", true},
		{mild, `{"severity":" low","more":1}`, `{"action":"alert","findings":["JUDGE-INJ-TOKEN"],"is_safe":false,"more":1,"reason":"llm-judge: injection: 1 finding","severity":"MEDIUM"}`, "alert", true},
		{mild, `{"severity":"high"}`, `{"action":"alert","findings":["JUDGE-INJ-TOKEN"],"is_safe":false,"reason":"llm-judge: injection: 1 finding","severity":"HIGH"}`, "alert", true},
		{mild, `{"severity":"SEVERE","action":"quarantine"}`, `{"action":"quarantine","findings":["JUDGE-INJ-TOKEN"],"is_safe":false,"reason":"llm-judge: injection: 1 finding","severity":"CRITICAL"}`, "block", true},
		{safe, `null`, `null`, "allow", false},
		{safe, `{"severity":"HIGH","reason":"pattern"}`, `{"action":"","findings":null,"reason":"pattern","severity":"HIGH"}`, "alert", false},
		{nil, `{"severity":"HIGH"}`, `{"action":"","findings":null,"reason":"","severity":"HIGH"}`, "alert", false},
	} {
		a.AskJudge = judgedBy(c.judge)
		body := `{"evaluation_id":"e","direction":"prompt","mode":"action","content":"text","local_result":` + c.local + `}`
		answer, err := ask(t, a.Guardrail, body)
		var verdict domains.GuardrailVerdict
		if err == nil {
			err = json.Unmarshal([]byte(answer), &verdict)
		}
		if err != nil || verdict.Reason != c.want || verdict.Action != c.action {
			t.Errorf("%+v, %s: %s, %v; want %s with the result %s", c.judge, c.local, answer, err, c.action, c.want)
		}
		if got := slices.Contains(verdict.ScannerSources, any("llm-judge")); got != c.source {
			t.Errorf("%+v, %s: the sources are %v", c.judge, c.local, verdict.ScannerSources)
		}
	}
}

func TestAJudgeThatFoundNothingDoesNotSpeakForTheScanner(t *testing.T) {
	var verdicts []string
	a := create(load(t, map[string]string{"guardrail.rego": deaf}), &verdicts)
	a.AskJudge = judgedBy(&domains.ScannerResult{Action: "allow", Severity: "NONE", IsSafe: true})
	answer, err := ask(t, a.Guardrail, `{"evaluation_id":"e","direction":"prompt","mode":"action","content":"text","model":"someone-must-speak"}`)
	if err != nil || !strings.Contains(answer, `"action":"block"`) {
		t.Errorf("%s, %v; want block, since no scanner spoke", answer, err)
	}
}

func TestAPolicyThatHearsTheJudgeIsNotToldTwice(t *testing.T) {
	var verdicts []string
	a := create(load(t, map[string]string{
		"guardrail.rego": "package defenseclaw.guardrail\nimport data.lib\naction := \"allow\"\nseverity := lib.severity\nreason := json.marshal(input.local_result)",
		"lib.rego":       "package lib\nseverity := input.judge_result.severity",
	}), &verdicts)
	a.AskJudge = judgedBy(&domains.ScannerResult{Action: "block", Severity: "HIGH"})
	const body = `{"evaluation_id":"e","direction":"prompt","mode":"action","content":"text"}`
	if answer, err := ask(t, a.Guardrail, body); err != nil || answer != `{"action":"allow","severity":"HIGH","reason":"null","scanner_sources":null}` {
		t.Errorf("%s, %v", answer, err)
	}
}

func TestWhatTheGuardrailPolicyDoesNotTakeIsSaid(t *testing.T) {
	const asking = `{"guardrail": {"hilt": {"enabled": true}}}`
	const hears = "package defenseclaw.guardrail\naction := input.judge_result.action"
	for _, c := range []struct {
		files  map[string]string
		judged bool
		hilt   bool
		want   []string // how the warnings begin
	}{
		{map[string]string{"guardrail.rego": deaf}, true, false, []string{"data.defenseclaw.guardrail does not read input.judge_result: "}},
		{map[string]string{"guardrail.rego": deaf}, false, false, nil},
		{map[string]string{"guardrail.rego": hears}, true, false, nil},
		{map[string]string{"guardrail.rego": hears, "data.json": asking}, true, false, []string{"guardrail.hilt.enabled is true in the policy's data"}},
		{map[string]string{"guardrail.rego": hears, "data.json": asking}, true, true, nil},
		{map[string]string{"guardrail.rego": deaf, "data.json": asking}, true, false, []string{"data.defenseclaw.guardrail", "guardrail.hilt.enabled"}},
		{map[string]string{"p.rego": "package p", "data.json": asking}, true, false, nil},
	} {
		got := domains.Warnings(load(t, c.files), c.judged, domains.HILT{Enabled: c.hilt})
		if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("%v, judge %v, hilt %v: %q; want %q", c.files, c.judged, c.hilt, got, c.want)
		}
	}
	if got := domains.Warnings(embedded(t), true, domains.HILT{}); got != nil {
		t.Errorf("the embedded pack: %q", got)
	}
}
