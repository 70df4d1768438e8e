package api_test

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"defenseclaw/api"
	dom "defenseclaw/api/domains"
	"defenseclaw/engine"
	"defenseclaw/policies"
)

// permissive reads its input and its data as policies written for the original gateway do: what is missing makes a
// rule undefined.
var permissive = map[string]string{
	"admission.rego": `package defenseclaw.admission
default verdict := "scan"
default reason := "waits for a scan"
found := input.scan_result.total_findings
verdict := "clean" if found == 0
verdict := "rejected" if { found > 0; refused }
verdict := "warning" if { found > 0; not refused }
reason := sprintf("%d, worst %q", [found, input.scan_result.max_severity]) if found > 0
refused if data.actions[upper(input.scan_result.max_severity)].runtime == "block"
file_action := {"a": 1} if input.path == "/object"
install_action := null if input.path == "/object"`,
	"guardrail.rego": `package defenseclaw.guardrail
default severity := "NONE"
severity := input.local_result.severity if input.local_result.severity in object.keys(data.guardrail.severity_rank)
rank := data.guardrail.severity_rank[severity]
no_scanner if { input.model == "both-null-blocks"; input.local_result == null; input.cisco_result == null }
action := "block" if no_scanner
else := "Block " if rank >= 4
else := "confirm" if { hilt.enabled; rank >= data.guardrail.severity_rank[hilt.min_severity] }
else := "alert" if rank >= 2
else := "allow"
hilt := input.hilt if input.hilt
else := data.guardrail.hilt
scanner_sources contains "local-pattern" if { input.local_result; input.local_result.severity != "NONE" }
scanner_sources contains 7 if input.model == "odd-source"`,
	"audit.rego": `package defenseclaw.audit
retain := input.age_days < 10
export_to := [t | some t in input.export_targets] if input.event_type == "listed"
export_to := ["a", 7, null, "b"] if input.event_type == "odd"
export_to := {"a": 1} if input.event_type == "object"`,
	"skill_actions.rego": `package defenseclaw.skill_actions
runtime_action := "block" if not input.target_type
else := input.target_type`,
	"sandbox.rego": `package defenseclaw.sandbox
permissions := ["a", 7] if input.requested_endpoints == null
denied_endpoints := ["a", 7]`,
	"firewall.rego": "package defenseclaw.firewall\naction := \"allow\"",
	"data.json": `{"actions": {"HIGH": {"runtime": "block"}, "LOW": {"runtime": "allow"}},
"guardrail": {"severity_rank": {"NONE": 0, "LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}, "hilt": {"enabled": true, "min_severity": "LOW"}}}`,
}

const (
	admissionOf = `{"input":{"target_type":"skill","target_name":"n","path":"/p"`
	guardrailOf = `{"evaluation_id":"e","direction":"prompt","mode":"action"`
)

// answersOfTheOriginal were observed: what the original gateway answers to a request under a policy such as permissive. The
// request is answered in the same way here, unless ours says otherwise and why.
var answersOfTheOriginal = []struct {
	hilt         dom.HILT // guardrail.hilt of config.yaml
	route, body  string
	status       int
	answer, ours string // a part of the body; ours: another one with status 200
	why          string
}{
	// The guardrail's input.
	{route: "/v1/guardrail/evaluate", body: guardrailOf + `,"model":"both-null-blocks"}`, status: 200, answer: `"action":"block"`},
	{route: "/v1/guardrail/evaluate", body: guardrailOf + `,"model":"both-null-blocks","local_result":{}}`, status: 200, answer: `"action":"allow"`},
	{
		hilt: dom.HILT{Enabled: true, MinSeverity: "MEDIUM"}, route: "/v1/guardrail/evaluate",
		body: guardrailOf + `,"local_result":{"severity":"HIGH"}}`, status: 200, answer: `"action":"confirm"`,
	},
	{route: "/v1/guardrail/evaluate", body: guardrailOf + `,"local_result":{"severity":"HIGH"}}`, status: 200, answer: `"action":"alert"`},
	{
		route: "/v1/guardrail/evaluate", body: guardrailOf + `,"local_result":{"severity":"HIGH"},"hilt":{"enabled":true,"min_severity":"LOW"}}`,
		status: 200, answer: `"action":"alert"`, ours: `"action":"confirm"`, why: "a request may ask for a person",
	},
	{
		hilt: dom.HILT{Enabled: true}, route: "/v1/guardrail/evaluate",
		body: guardrailOf + `,"local_result":{"severity":"HIGH"},"hilt":{"enabled":false}}`, status: 200, answer: `"action":"confirm"`,
	},
	{route: "/v1/guardrail/evaluate", body: guardrailOf + `,"local_result":{}}`, status: 200, answer: `"action":"allow","severity":"NONE","reason":"","scanner_sources":["local-pattern"]`},
	{route: "/v1/guardrail/evaluate", body: guardrailOf + `,"local_result":null}`, status: 200, answer: `"action":"allow","severity":"NONE","reason":"","scanner_sources":[]`},
	{route: "/v1/guardrail/evaluate", body: guardrailOf + `,"local_result":{"severity":"NONE"},"model":"odd-source"}`, status: 200, answer: `"scanner_sources":[]`},
	{route: "/v1/guardrail/evaluate", body: guardrailOf + `,"local_result":{"severity":["HIGH"]}}`, status: 400, answer: `local_result.severity`},
	{route: "/v1/guardrail/evaluate", body: guardrailOf + `,"content_length":1.5}`, status: 400, answer: `content_length`},
	{
		route: "/v1/guardrail/evaluate", body: guardrailOf + `,"local_result":{"severity":"CRITICAL"}}`, status: 200,
		answer: `"action":"Block "`, ours: `"action":"block"`, why: "a caller that compares with block must not miss it",
	},

	// Spelling.
	{route: "/v1/guardrail/evaluate", body: `{"evaluation_id":" e ","direction":"PROMPT","mode":" action "}`, status: 200, answer: `"action":"allow"`},
	{route: "/v1/guardrail/evaluate", body: `{"evaluation_id":"e","direction":"\tCompletion\n","mode":"Observe","scanner_mode":"LOCAL"}`, status: 200, answer: `"action":"allow"`},
	{route: "/v1/guardrail/evaluate", body: `{"evaluation_id":"e","direction":"prompts","mode":"action"}`, status: 400, answer: `direction is`},
	{route: "/v1/guardrail/evaluate", body: `{"evaluation_id":"e","direction":"prompt","mode":"act ion"}`, status: 400, answer: `mode is`},
	{route: "/v1/guardrail/evaluate", body: guardrailOf + `,"scanner_mode":"none"}`, status: 400, answer: `scanner_mode is`},
	{route: "/v1/guardrail/evaluate", body: `{"evaluation_id":"e f","direction":"prompt","mode":"action"}`, status: 400, answer: `evaluation_id is`},
	{route: "/v1/guardrail/evaluate", body: `{"evaluation_id":"-e","direction":"prompt","mode":"action"}`, status: 400, answer: `evaluation_id is`},
	{route: "/v1/guardrail/evaluate", body: `{"evaluation_id":"e` + strings.Repeat("f", 256) + `","direction":"prompt","mode":"action"}`, status: 400, answer: `evaluation_id is`},
	{route: "/v1/guardrail/evaluate", body: `{"evaluation_id":"  ","direction":"prompt","mode":"action"}`, status: 400, answer: `evaluation_id is required`},
	{
		route: "/v1/guardrail/evaluate", body: guardrailOf + `,"model":"a model"}`, status: 400, answer: `model`,
		ours: `"action":"allow"`, why: "a caller that is refused for the model's name may let the text pass",
	},

	// What a scan found.
	{route: "/policy/evaluate", body: admissionOf + `}}`, status: 200, answer: `"verdict":"scan"`},
	{route: "/policy/evaluate", body: admissionOf + `,"scan_result":null}}`, status: 200, answer: `"verdict":"scan"`},
	{route: "/policy/evaluate", body: admissionOf + `,"scan_result":{}}}`, status: 200, answer: `"verdict":"clean"`, ours: `"verdict":"scan"`, why: "a partial scan is not clean"},
	{
		route: "/policy/evaluate", body: admissionOf + `,"scan_result":{"max_severity":"HIGH"}}}`, status: 200, answer: `"verdict":"clean"`,
		ours: `"verdict":"scan"`, why: "a partial scan is not clean",
	},
	{
		route: "/policy/evaluate", body: admissionOf + `,"scan_result":{"max_severity":"HIGH","total_findings":null}}}`, status: 200, answer: `"verdict":"clean"`,
		ours: `"verdict":"scan"`, why: "a partial scan is not clean",
	},
	{route: "/policy/evaluate", body: admissionOf + `,"scan_result":{"total_findings":4}}}`, status: 200, answer: `"verdict":"warning","reason":"4, worst \"\""`},
	{route: "/policy/evaluate", body: admissionOf + `,"scan_result":{"total_findings":0}}}`, status: 200, answer: `"verdict":"clean"`},
	{route: "/policy/evaluate", body: admissionOf + `,"scan_result":{"Total_Findings":1,"max_severity":"high"}}}`, status: 200, answer: `"verdict":"rejected","reason":"1, worst \"high\""`},
	{route: "/policy/evaluate", body: admissionOf + `,"scan_result":{"total_findings":4.5}}}`, status: 400, answer: `input.scan_result.total_findings`},
	{route: "/policy/evaluate", body: admissionOf + `,"scan_result":{"total_findings":"0"}}}`, status: 400, answer: `input.scan_result.total_findings`},
	{route: "/policy/evaluate", body: admissionOf + `,"scan_result":{"total_findings":0,"exit_code":0.5}}}`, status: 400, answer: `input.scan_result.exit_code`},
	{route: "/policy/evaluate", body: admissionOf + `,"scan_result":[]}}`, status: 400, answer: `input.scan_result`},
	{
		route: "/policy/evaluate", body: strings.Replace(admissionOf, "/p", "/object", 1) + `}}`, status: 200, answer: `"file_action":"map[a:1]","install_action":"<nil>"`,
		ours: `"file_action":"","install_action":""`, why: "neither is an action, and no text can be taken for one",
	},

	// Lists, numbers, and what is left out.
	{route: "/policy/evaluate/audit", body: `{}`, status: 200, answer: `"export_to":null,"retain":true`},
	{route: "/policy/evaluate/audit", body: `{"event_type":"listed"}`, status: 200, answer: `"export_to":[]`},
	{route: "/policy/evaluate/audit", body: `{"event_type":"listed","export_targets":["x"]}`, status: 200, answer: `"export_to":["x"]`},
	{route: "/policy/evaluate/audit", body: `{"event_type":"odd"}`, status: 200, answer: `"export_to":["a","b"]`},
	{route: "/policy/evaluate/audit", body: `{"event_type":"object"}`, status: 200, answer: `"export_to":null`},
	{route: "/policy/evaluate/audit", body: `{"age_days":1.5}`, status: 400, answer: `age_days`},
	{route: "/policy/evaluate/audit", body: `{"export_targets":["x",1]}`, status: 400, answer: `export_targets`},
	{route: "/policy/evaluate/skill-actions", body: `{"severity":"LOW"}`, status: 200, answer: `"runtime_action":"block"`},
	{route: "/policy/evaluate/skill-actions", body: `{"severity":"LOW","target_type":""}`, status: 200, answer: `"runtime_action":"block"`},
	{route: "/policy/evaluate/skill-actions", body: `{"severity":"LOW","target_type":"mcp"}`, status: 200, answer: `"runtime_action":"mcp"`},
	{
		route: "/policy/evaluate/sandbox", body: `{"skill_name":"s"}`, status: 200,
		answer: `"allowed_endpoints":null,"allowed_skills":null,"denied_endpoints":["a"],"denied_from_request":null,"permissions":["a"]`,
		ours:   `"allowed_endpoints":null,"allowed_skills":null,"denied_endpoints":["a",7],"denied_from_request":null,"permissions":["a"]`,
		why:    "nothing is dropped of what is denied",
	},
}

func TestRequestsAreAnsweredAsTheOriginalAnswersThem(t *testing.T) {
	var setting dom.HILT
	s := start(t, permissive, func(c *api.Config, _ *engine.Config) { c.HILT = func() dom.HILT { return setting } })
	for _, c := range answersOfTheOriginal {
		setting = c.hilt
		if (c.ours == "") != (c.why == "") {
			t.Errorf("%s: an answer of ours needs a reason", c.body)
		}
		status, want := c.status, c.answer
		if c.ours != "" {
			status, want = 200, c.ours
		}
		s.expect("POST", c.route, c.body, status, want)
	}
}

// TestTheEmbeddedPackStaysStrictOnWhatIsPartial asks the same of the pack that serves by default.
func TestTheEmbeddedPackStaysStrictOnWhatIsPartial(t *testing.T) {
	s := start(t, nil, func(_ *api.Config, e *engine.Config) { e.Source = func() (fs.FS, error) { return policies.FS(), nil } })
	for _, c := range []struct{ route, body, answer string }{
		{"/policy/evaluate", admissionOf + `}}`, `"verdict":"scan"`},
		{"/policy/evaluate", admissionOf + `,"scan_result":{}}}`, `"verdict":"rejected","reason":"the scan failed: the number of findings is missing"`},
		{"/policy/evaluate", admissionOf + `,"scan_result":{"max_severity":"HIGH"}}}`, `"verdict":"rejected"`},
		{"/policy/evaluate", admissionOf + `,"scan_result":{"total_findings":4}}}`, `"verdict":"rejected","reason":"4 findings, the worst UNKNOWN"`},
		{"/policy/evaluate", admissionOf + `,"scan_result":{"total_findings":0}}}`, `"verdict":"clean"`},
		{"/policy/evaluate", admissionOf + `,"scan_result":{"total_findings":0,"exit_code":2}}}`, `"verdict":"rejected"`},
		{"/policy/evaluate", admissionOf + `,"scan_result":{"total_findings":0,"findings":[{"severity":"HIGH"}]}}}`, `"verdict":"rejected"`},
		{"/policy/evaluate", admissionOf + `,"scan_result":{"total_findings":0,"scan_error":"x"}}}`, `"verdict":"rejected"`},
		{"/v1/guardrail/evaluate", guardrailOf + `}`, `"action":"alert","severity":"NONE","reason":"no scanner result to decide by"`},
		{"/v1/guardrail/evaluate", guardrailOf + `,"local_result":{}}`, `"action":"allow","severity":"NONE"`},
		{"/v1/guardrail/evaluate", guardrailOf + `,"local_result":{"is_safe":false}}`, `"action":"alert","severity":"HIGH"`},
		{"/policy/evaluate/audit", `{}`, `"export_to":[],"retain":true`},
		{"/policy/evaluate/audit", `{"export_targets":null,"severity":"HIGH"}`, `"export_to":[],"retain":true`},
		{"/policy/evaluate/skill-actions", `{"severity":"HIGH"}`, `"runtime_action":"block"`},
		{"/policy/evaluate/sandbox", `{"skill_name":"s"}`, `"allowed_endpoints":[]`},
	} {
		s.expect("POST", c.route, c.body, 200, c.answer)
	}
}

// echoing answers with its input, in a rule of each domain whose value is text.
var echoing = map[string]string{
	"admission.rego":     "package defenseclaw.admission\nverdict := \"scan\"\nreason := json.marshal(input)",
	"guardrail.rego":     "package defenseclaw.guardrail\naction := \"allow\"\nseverity := \"NONE\"\nreason := json.marshal(input)",
	"firewall.rego":      "package defenseclaw.firewall\nrule_name := json.marshal(input)",
	"audit.rego":         "package defenseclaw.audit\nretain_reason := json.marshal(input)",
	"skill_actions.rego": "package defenseclaw.skill_actions\nruntime_action := json.marshal(input)",
	"sandbox.rego":       "package defenseclaw.sandbox\npermissions := [json.marshal(input)]",
}

func TestEveryDomainsInputIsTheOriginals(t *testing.T) {
	s := start(t, echoing, func(c *api.Config, _ *engine.Config) { c.HILT = func() dom.HILT { return dom.HILT{Enabled: true} } })
	for _, c := range []struct{ route, body, input string }{
		{"/policy/evaluate", `{"input":{"target_type":"skill","target_name":"n","other":1}}`, `{"allow_list":[],"block_list":[],"path":"","target_name":"n","target_type":"skill"}`},
		{
			"/policy/evaluate", admissionOf + `,"scan_result":{"max_severity":"HIGH","total_findings":1,"exit_code":0,"scan_error":""}}}`,
			`{"allow_list":[],"block_list":[],"path":"/p","scan_result":{"max_severity":"HIGH","total_findings":1},"target_name":"n","target_type":"skill"}`,
		},
		{
			"/policy/evaluate", admissionOf + `,"scan_result":{"total_findings":1,"exit_code":3,"scan_error":"e","scanner_name":"s","findings":[{"severity":"LOW"}]}}}`,
			`{"allow_list":[],"block_list":[],"path":"/p","scan_result":{"exit_code":3,"findings":[{"severity":"LOW"}],"max_severity":"","scan_error":"e","scanner_name":"s","total_findings":1},"target_name":"n","target_type":"skill"}`,
		},
		{"/policy/evaluate", admissionOf + `,"scan_result":{}}}`, `{"allow_list":[],"block_list":[],"path":"/p","scan_result":{"max_severity":""},"target_name":"n","target_type":"skill"}`},
		{"/policy/evaluate/firewall", `{"destination":"d"}`, `{"destination":"d","port":0,"protocol":"","target_type":""}`},
		{"/policy/evaluate/firewall", `{"destination":"d","port":1,"protocol":"tcp","target_type":"skill","x":1}`, `{"destination":"d","port":1,"protocol":"tcp","target_type":"skill"}`},
		{"/policy/evaluate/audit", `{}`, `{"age_days":0,"event_type":"","export_targets":null,"severity":""}`},
		{"/policy/evaluate/audit", `{"age_days":3,"event_type":"e","export_targets":[],"severity":"LOW"}`, `{"age_days":3,"event_type":"e","export_targets":[],"severity":"LOW"}`},
		{"/policy/evaluate/skill-actions", `{"severity":"LOW"}`, `{"severity":"LOW"}`},
		{"/policy/evaluate/skill-actions", `{"severity":"LOW","target_type":"mcp"}`, `{"severity":"LOW","target_type":"mcp"}`},
		{"/policy/evaluate/sandbox", `{"skill_name":"s"}`, `{"requested_endpoints":null,"requested_permissions":null,"skill_name":"s"}`},
		{"/policy/evaluate/sandbox", `{"skill_name":"s","requested_endpoints":[],"requested_permissions":["p"]}`, `{"requested_endpoints":[],"requested_permissions":["p"],"skill_name":"s"}`},
		{
			"/v1/guardrail/evaluate", `{"evaluation_id":"e","direction":"Prompt","mode":"ACTION","elapsed_ms":1.5}`,
			`{"cisco_result":null,"content_length":0,"direction":"prompt","hilt":{"enabled":true,"min_severity":"HIGH"},"local_result":null,"mode":"action","model":"","scanner_mode":""}`,
		},
	} {
		status, answer, _ := s.request("POST", c.route, c.body)
		if want, _ := json.Marshal(c.input); status != 200 || !strings.Contains(answer, string(want)) {
			t.Errorf("%s %s: %d %s; want the input %s", c.route, c.body, status, answer, c.input)
		}
	}
}
