package domains_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"defenseclaw/api/domains"
	"defenseclaw/engine"
	"defenseclaw/policies"
)

// ordered are the guardrail's actions, from the one that lets most pass.
var ordered = []string{"allow", "alert", "confirm", "block"}

func embedded(t testing.TB) *engine.Generation {
	t.Helper()
	g, err := engine.Load(t.Context(), policies.FS(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// guard returns what the guardrail answers to a finding; hilt is JSON, and empty if the request has none.
func guard(t *testing.T, a *domains.API, severity, hilt string) domains.GuardrailVerdict {
	t.Helper()
	body := `{"evaluation_id":"e","direction":"prompt","mode":"action","local_result":{"severity":"` + severity + `"}`
	if hilt != "" {
		body += `,"hilt":` + hilt
	}
	answer, err := ask(t, a.Guardrail, body+`}`)
	var verdict domains.GuardrailVerdict
	if err == nil {
		err = json.Unmarshal([]byte(answer), &verdict)
	}
	if err != nil {
		t.Fatalf("%s: %s, %v", body, answer, err)
	}
	return verdict
}

func TestConfigYAMLSaysWhenAPersonIsAsked(t *testing.T) {
	var verdicts []string
	a := create(embedded(t), &verdicts)
	for _, c := range []struct {
		setting  domains.HILT
		severity string
		want     string
	}{
		{domains.HILT{}, "HIGH", "alert"},
		{domains.HILT{Enabled: true}, "HIGH", "confirm"},
		{domains.HILT{Enabled: true}, "MEDIUM", "alert"},
		{domains.HILT{Enabled: true, MinSeverity: " medium "}, "MEDIUM", "confirm"},
		{domains.HILT{Enabled: true, MinSeverity: "LOW"}, "LOW", "confirm"},
		{domains.HILT{Enabled: true, MinSeverity: "CRITICAL"}, "HIGH", "alert"},
		{domains.HILT{Enabled: true, MinSeverity: "LOW"}, "CRITICAL", "block"},
	} {
		a.HILT = func() domains.HILT { return c.setting }
		if got := guard(t, a, c.severity, "").Action; got != c.want {
			t.Errorf("%+v, %s: %s; want %s", c.setting, c.severity, got, c.want)
		}
	}
}

func TestConfigYAMLGoesBeforeTheDataAboutAskingAPerson(t *testing.T) {
	var verdicts []string
	a := create(load(t, map[string]string{
		"guardrail.rego": "package defenseclaw.guardrail\nseverity := \"HIGH\"\n" +
			"action := \"confirm\" if hilt.enabled\nelse := \"alert\"\nhilt := input.hilt if input.hilt\nelse := data.guardrail.hilt",
		"data.json": `{"guardrail": {"hilt": {"enabled": true}}}`,
	}), &verdicts)
	if got := guard(t, a, "HIGH", "").Action; got != "alert" {
		t.Errorf("%s; want alert, as the setting is off", got)
	}
}

// TestARequestOnlyTightensWhenAPersonIsAsked asks with every combination of setting and request.
func TestARequestOnlyTightensWhenAPersonIsAsked(t *testing.T) {
	var verdicts []string
	a := create(embedded(t), &verdicts)
	severities := append([]string{""}, domains.HILTSeverities()...)
	wishes := []string{"null", "{}"}
	for _, s := range severities {
		for _, enabled := range []string{"", `"enabled":true,`, `"enabled":false,`, `"enabled":null,`} {
			wishes = append(wishes, fmt.Sprintf(`{%s"min_severity":%q}`, enabled, s))
		}
	}
	for _, enabled := range []bool{false, true} {
		for _, minSeverity := range severities {
			setting := domains.HILT{Enabled: enabled, MinSeverity: minSeverity}
			a.HILT = func() domains.HILT { return setting }
			for _, severity := range []string{"NONE", "LOW", "MEDIUM", "HIGH", "CRITICAL"} {
				without := guard(t, a, severity, "").Action
				for _, wish := range wishes {
					with := guard(t, a, severity, wish).Action
					if slices.Index(ordered, with) < slices.Index(ordered, without) {
						t.Errorf("%+v, %s: %s is %s; without it %s", setting, severity, wish, with, without)
					}
				}
			}
		}
	}
}

func TestARequestIsHeardWhereItAsksForMore(t *testing.T) {
	var verdicts []string
	a := create(embedded(t), &verdicts)
	for _, c := range []struct {
		setting        domains.HILT
		wish, severity string
		want           string
	}{
		{domains.HILT{}, `{"enabled":true}`, "HIGH", "confirm"},
		{domains.HILT{MinSeverity: "MEDIUM"}, `{"enabled":true}`, "MEDIUM", "confirm"},
		{domains.HILT{}, `{"enabled":true,"min_severity":" low"}`, "LOW", "confirm"},
		{domains.HILT{}, `{"min_severity":"LOW"}`, "HIGH", "alert"},
		{domains.HILT{Enabled: true}, `{"min_severity":"MEDIUM"}`, "MEDIUM", "confirm"},
		{domains.HILT{Enabled: true}, `{"enabled":false,"min_severity":"MEDIUM"}`, "MEDIUM", "alert"},
		{domains.HILT{Enabled: true}, `{"enabled":false}`, "HIGH", "confirm"},
		{domains.HILT{Enabled: true}, `{"enabled":true,"min_severity":"CRITICAL"}`, "HIGH", "confirm"},
	} {
		a.HILT = func() domains.HILT { return c.setting }
		if got := guard(t, a, c.severity, c.wish).Action; got != c.want {
			t.Errorf("%+v, %s, %s: %s; want %s", c.setting, c.wish, c.severity, got, c.want)
		}
	}
	for _, wrong := range []string{`{"min_severity":"SEVERE"}`, `{"min_severity":"NONE"}`, `{"enabled":"yes"}`, `{"min_severity":3}`, `[]`, `true`} {
		body := `{"evaluation_id":"e","direction":"prompt","mode":"action","hilt":` + wrong + `}`
		if answer, err := ask(t, a.Guardrail, body); err == nil || !strings.HasPrefix(err.Error(), "hilt") {
			t.Errorf("%s: %s, %v; want an error that names the field", wrong, answer, err)
		}
	}
}

// recording is a policy that says what its input was.
const recording = "\nreason := json.marshal(input)"

// recorded asks a domain of a recording policy, and returns its input.
func recorded(t *testing.T, handle func(http.ResponseWriter, *http.Request) error, body string) string {
	t.Helper()
	answer, err := ask(t, handle, body)
	var said struct{ Reason string }
	if err == nil {
		err = json.Unmarshal([]byte(answer), &said)
	}
	if err != nil {
		t.Errorf("%s: %s, %v", body, answer, err)
	}
	return said.Reason
}

func TestTheGuardrailsInputHasEveryField(t *testing.T) {
	var verdicts []string
	a := create(load(t, map[string]string{
		"guardrail.rego": "package defenseclaw.guardrail\naction := \"allow\"\nseverity := \"NONE\"" + recording,
	}), &verdicts)
	a.HILT = func() domains.HILT { return domains.HILT{Enabled: true, MinSeverity: "medium"} }
	const start = `{"evaluation_id":"e","direction":"prompt","mode":"action"`
	for _, c := range []struct{ rest, want string }{
		{`}`, `{"cisco_result":null,"content_length":0,"direction":"prompt","hilt":{"enabled":true,"min_severity":"MEDIUM"},"local_result":null,"mode":"action","model":"","scanner_mode":""}`},
		{`,"local_result":null,"cisco_result":null,"hilt":null,"elapsed_ms":1.5,"other":1}`, `{"cisco_result":null,"content_length":0,"direction":"prompt","hilt":{"enabled":true,"min_severity":"MEDIUM"},"local_result":null,"mode":"action","model":"","scanner_mode":""}`},
		{`,"local_result":{},"cisco_result":{"severity":"HIGH","is_safe":false,"findings":[]},"model":"m","scanner_mode":"both","content_length":7}`,
			`{"cisco_result":{"action":"","findings":[],"is_safe":false,"reason":"","severity":"HIGH"},"content_length":7,"direction":"prompt","hilt":{"enabled":true,"min_severity":"MEDIUM"},"local_result":{"action":"","findings":null,"reason":"","severity":""},"mode":"action","model":"m","scanner_mode":"both"}`},
		{`,"local_result":{"Severity":"LOW","severity":null,"findings":["a"],"action":null,"reason":"r","confidence":0.25}}`,
			`{"cisco_result":null,"content_length":0,"direction":"prompt","hilt":{"enabled":true,"min_severity":"MEDIUM"},"local_result":{"action":"","confidence":0.25,"findings":["a"],"reason":"r","severity":"LOW"},"mode":"action","model":"","scanner_mode":""}`},
	} {
		if got := recorded(t, a.Guardrail, start+c.rest); got != c.want {
			t.Errorf("%s:\n%s; want\n%s", c.rest, got, c.want)
		}
	}
	for body, want := range map[string]string{
		`,"local_result":{"severity":5}}`:        "local_result.severity: a JSON number was found; string was expected",
		`,"cisco_result":{"findings":["a",1]}}`:  "cisco_result.findings: a JSON number was found; string was expected",
		`,"cisco_result":"HIGH"}`:                "cisco_result: a JSON string was found; object was expected",
		`,"local_result":{"is_safe":"yes"}}`:     "local_result.is_safe: a JSON string was found; bool was expected",
		`,"content_length":1.5}`:                 "content_length: a JSON number 1.5 was found; int64 was expected",
		`,"local_result":{"severity":{"a":[]}}}`: "local_result.severity: a JSON object was found; string was expected",
	} {
		if answer, err := ask(t, a.Guardrail, start+body); err == nil || err.Error() != want {
			t.Errorf("%s: %s, %v; want %s", body, answer, err, want)
		}
	}
}

func TestTheGuardrailTellsNoScannerFromOneThatFoundNothing(t *testing.T) {
	var verdicts []string
	a := create(load(t, map[string]string{"guardrail.rego": `package defenseclaw.guardrail
severity := "NONE"
default action := "allow"
action := "block" if { input.local_result == null; input.cisco_result == null }`}), &verdicts)
	const start = `{"evaluation_id":"e","direction":"prompt","mode":"action"`
	for rest, want := range map[string]string{`}`: "block", `,"local_result":null}`: "block", `,"cisco_result":{}}`: "allow"} {
		if answer, err := ask(t, a.Guardrail, start+rest); err != nil || !strings.Contains(answer, `"action":"`+want+`"`) {
			t.Errorf("%s: %s, %v; want %s", rest, answer, err, want)
		}
	}
}
