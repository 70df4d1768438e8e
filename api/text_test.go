package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"defenseclaw/api"
	"defenseclaw/engine"
)

// both are two sidecars with one policy: programs decide in one, and OPA's evaluator alone in the other.
type both struct{ programs, opa *sidecar }

func startBoth(t *testing.T, files map[string]string, change func(*api.Config, *engine.Config)) both {
	t.Helper()
	return both{
		programs: start(t, files, change),
		opa: start(t, files, func(c *api.Config, e *engine.Config) {
			if change != nil {
				change(c, e)
			}
			e.NoPrograms = true
		}),
	}
}

// warm asks for a path until a program decides it.
func (b both) warm(t *testing.T, path, method, route, body string) {
	t.Helper()
	eventually(t, "a program decides "+path, func() bool {
		for range engineProgramAfter {
			b.programs.request(method, route, body)
		}
		_, text, _ := b.programs.request(http.MethodGet, "/policy/status", "")
		var status struct {
			State   string
			Decided []api.Way
		}
		if err := json.Unmarshal([]byte(text), &status); err != nil || status.State != "current" {
			t.Fatalf("%v: %s", err, text)
		}
		for _, w := range status.Decided {
			if w.Path == path && w.By == "program" {
				return true
			}
		}
		return false
	})
}

const engineProgramAfter = 40

var decisionIDs = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.\d+\.[0-9a-f]+`)

// same requires that both answer alike.
func (b both) same(t *testing.T, method, path, body string, headers ...string) {
	t.Helper()
	status, text, _ := b.programs.request(method, path, body, headers...)
	wantStatus, want, _ := b.opa.request(method, path, body, headers...)
	text, want = decisionIDs.ReplaceAllString(text, "ID"), decisionIDs.ReplaceAllString(want, "ID")
	if status != wantStatus || text != want {
		t.Errorf("%s %s %.200q %v: %d %.300s; OPA's evaluator: %d %.300s", method, path, body, headers, status, text, wantStatus, want)
	}
}

const textPolicy = `package t
whole := input
part := input.a.b
names contains name if some name, _ in input.a
keys := {1: "one", "1": "text"} if input.numbers
fails := 1 / input.zero
long := [input | some i in numbers.range(1, 2000)]
built := {"q": sprintf("<%v>\u2028", [input.a]), "f": 1.50, "s": {3, 1, 2}, "n": null}
`

// inputTexts are inputs of every kind, and texts that are none.
var inputTexts = []string{
	`{}`, `{"a":{"b":1}}`, `{ "a" : { "b" : [ 1.0 , 1e2, -0, "\u0041\n<é>" ] } }`, `{"a":{"b":1,"b":2,"c":3},"a":{"b":{"x":1,"x":2}}}`, `null`, `true`, `7`, `"text"`, `[]`,
	`[1,{"a":{}}]`, `{"a":[{"b":1},{"b":2}]}`, `{"numbers":true}`, `{"zero":0}`, `{"zero":1e400}`, `{"a":{"b":12345678901234567890.50}}`, `{"a":{"b":"` + "\xff" + `"}}`,
	`{"a":{"b":"\ud800"}}`, `{"a":{"b":1e99999}}`, `{"a":`, `{"a":1,}`, `{"a":01}`, `{"a":"` + "\n" + `"}`, `{"a" 1}`, ``, `{"a":{"b":` + strings.Repeat("9", 10001) + `}}`,
	strings.Repeat("[", 10001) + strings.Repeat("]", 10001), strings.Repeat("[", 9998) + strings.Repeat("]", 9998), "\ufeff{}", `{"a":{"b":{"k":"` + strings.Repeat("long ", 2000) + `"}}}`,
}

// TestTextsAreAnsweredByProgramsAsByOPAsEvaluator goes through every route that takes an input as it is.
func TestTextsAreAnsweredByProgramsAsByOPAsEvaluator(t *testing.T) {
	b := startBoth(t, map[string]string{"t.rego": textPolicy, "main.rego": "package system\nmain := input.a"}, func(_ *api.Config, e *engine.Config) {
		e.MaxAnswerBytes = 100_000
	})
	b.warm(t, "data.system.main", http.MethodPost, "/", `{"a":1}`)
	for _, rule := range []string{"whole", "part", "names", "keys", "fails", "long", "built"} {
		b.warm(t, "data.t."+rule, http.MethodPost, "/v1/data/t/"+rule, `{"input":{"a":{"b":1},"zero":1,"numbers":1}}`)
		for _, text := range inputTexts {
			for _, body := range []string{`{"input":` + text + `}`, " {\n\"input\" : " + text + " } ", `{"input":` + text + `} x`, `{"x":1,"input":` + text + `}`, `{"input":` + text + `,"input":` + text + `}`} {
				b.same(t, http.MethodPost, "/v1/data/t/"+rule, body)
			}
			b.same(t, http.MethodPost, "/v1/data/t/"+rule+"?pretty", `{"input":`+text+`}`)
			b.same(t, http.MethodPost, "/v1/data/t/"+rule+"?strict-builtin-errors=true", `{"input":`+text+`}`)
			b.same(t, http.MethodPost, "/v0/data/t/"+rule, text)
			b.same(t, http.MethodPost, "/v1/batch/data/t/"+rule, `{"inputs":{"x":`+text+`,"y":{"a":{"c":[]}}},"common_input":{"a":{"b":7,"c":{}},"zero":1}}`)
			b.same(t, http.MethodPost, "/v1/batch/data/t/"+rule, `{"common_input":`+text+`,"inputs":{"x":{"a":{"c":[]}},"y":3,"z":{}}}`)
		}
	}
	for _, text := range inputTexts {
		b.same(t, http.MethodPost, "/", text)
	}
	b.same(t, http.MethodPost, "/v1/data/t/none", `{"input":{}}`)
	b.same(t, http.MethodPost, "/v1/data/t/whole", `{"input":{"a":1}}`, "Content-Type: application/yaml")
	b.same(t, http.MethodPost, "/v1/data/t/whole", `{"input":{"a":1}}`, "Content-Encoding: gzip")
	b.same(t, http.MethodPost, "/v1/data/t/%ff", `{"input":{"a":1}}`)
}

// TestDomainsAreAnsweredByProgramsAsByOPAsEvaluator goes through the domain routes and AuthZEN.
func TestDomainsAreAnsweredByProgramsAsByOPAsEvaluator(t *testing.T) {
	files := maps.Clone(domains)
	files["authzen.rego"] = "package authzen\nallow := {\"decision\": input.subject.id == \"u\", \"context\": {\"seen\": input}}"
	b := startBoth(t, files, nil)
	for route, path := range map[string]string{
		"/policy/evaluate": "admission", "/policy/evaluate/firewall": "firewall", "/policy/evaluate/sandbox": "sandbox",
		"/policy/evaluate/audit": "audit", "/policy/evaluate/skill-actions": "skill_actions", "/v1/guardrail/evaluate": "guardrail",
	} {
		for _, taker := range takers {
			if taker.route == route {
				b.warm(t, "data.defenseclaw."+path, http.MethodPost, route, taker.good)
				b.same(t, http.MethodPost, route, taker.good)
				for field, value := range taker.wrong {
					b.same(t, http.MethodPost, route, `{"`+field+`":`+value+`,`+taker.good[1:])
					b.same(t, http.MethodPost, route, strings.TrimSuffix(taker.good, "}")+`,"`+field+`":`+value+`}`)
				}
			}
		}
	}
	for _, taker := range takers {
		if strings.HasPrefix(taker.route, "/access/v1/") {
			b.warm(t, "data.authzen.allow", http.MethodPost, "/access/v1/evaluation", `{"subject":{"type":"user","id":"u"},"action":{"name":"a"},"resource":{"type":"t","id":"1"}}`)
			b.same(t, http.MethodPost, taker.route, taker.good)
			for field, value := range taker.wrong {
				b.same(t, http.MethodPost, taker.route, strings.TrimSuffix(taker.good, "}")+`,"`+field+`":`+value+`}`)
			}
			b.same(t, http.MethodPost, taker.route, strings.TrimSuffix(taker.good, "}")+`,"context":{"n":1e400,"m":1.50,"t":"\u0000<"}}`)
			b.same(t, http.MethodPost, taker.route, strings.TrimSuffix(taker.good, "}")+`,"context":{"n":1e99999}}`)
		}
	}
	for _, body := range []string{
		`{"domain":"admission","input":{"target_type":"skill","target_name":"n","scan_result":{"verdict":["é",1.50,null]}}}`,
		`{"domain":"admission","input":{"target_type":"skill","target_name":"n","path":"/x<y>","scan_result":{"verdict":{"a":1e2}}}}`,
	} {
		b.same(t, http.MethodPost, "/policy/evaluate", body)
	}
}
