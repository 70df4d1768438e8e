package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"defenseclaw/api"
)

// domainQuestions are one for each domain that says 404 without its package; admission and the guardrail fail closed.
var domainQuestions = map[string]question{
	"firewall":      {"POST", "/policy/evaluate/firewall", takers[1].good, nil},
	"sandbox":       {"POST", "/policy/evaluate/sandbox", takers[2].good, nil},
	"audit":         {"POST", "/policy/evaluate/audit", takers[3].good, nil},
	"skill_actions": {"POST", "/policy/evaluate/skill-actions", takers[4].good, nil},
}

func answersWithoutDomains(t *testing.T, o *openAPI) {
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, nil)
	for _, q := range domainQuestions {
		o.ask(s, q, http.StatusNotFound)
	}
}

func TestADomainThatThePolicyDoesNotHaveIsNotFound(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, nil)
	for name, q := range domainQuestions {
		s.expect(q.method, q.target, q.body, http.StatusNotFound, `{"error":"the policy has no package defenseclaw.`+name+`, which decides this`)
	}
	s.expect("POST", "/policy/evaluate", takers[0].good, http.StatusOK, `"verdict":"rejected"`)
	s.expect("POST", "/v1/guardrail/evaluate", takers[5].good, http.StatusOK, `"action":"block"`)
}

func TestABodyThatIsTooLargeIsToldTheLimit(t *testing.T) {
	files := map[string]string{"p.rego": "package p\nx := 1", "authzen.rego": "package authzen\nallow := true"}
	for name, s := range map[string]*sidecar{
		"as it is": fullOf(t, files),
		"before system.authz": fullOf(t, map[string]string{
			"p.rego": files["p.rego"], "authzen.rego": files["authzen.rego"], "authz.rego": "package system.authz\nallow := true",
		}),
	} {
		for _, target := range []string{
			"/v1/data/p/x", "/v0/data/p/x", "/", "/v1/query", "/v1/compile", "/v1/compile/p/x", "/v1/batch/data/p/x", "/policy/evaluate", "/policy/evaluate/firewall", "/v1/guardrail/evaluate",
			"/access/v1/evaluation", "/access/v1/evaluations", "/policy/try", "/policy/lists/block", "/enforce/block", "/audit/event",
		} {
			for _, packed := range []bool{false, true} {
				body, headers := `{"input":"`+strings.Repeat("x", 1<<20)+`"}`, []string{"X-DefenseClaw-Client: t"}
				if packed {
					if !strings.Contains(target, "data") && target != "/" { // the others take no packed body
						continue
					}
					body, headers = gzipped(body), append(headers, "Content-Encoding: gzip")
				}
				status, answer, _ := s.request("POST", target, body, headers...)
				if status != http.StatusRequestEntityTooLarge || !strings.Contains(answer, "the body is larger than 1048576 bytes") {
					t.Errorf("%s: POST %s, packed %v: %d %.200s", name, target, packed, status, answer)
				}
			}
		}
	}
}

func TestABodyThatIsNotJSONIsToldWhere(t *testing.T) {
	s := full(t)
	for body, place := range map[string]string{
		`{"input":`:                          "line 1, column 10: the text ends before the value does",
		"{\n  \"input\": {\n    \"ü\": ]\n}": "line 3, column 10: invalid character ']'",
		"{\"a\": 1,}":                        "line 1, column 9: invalid character '}'",
		"":                                   "line 1, column 1: the text ends before the value does",
		"\n\n  oops":                         "line 3, column 3: invalid character 'o'",
		`{"input": "x" "y"}`:                 "line 1, column 15: invalid character '\"'",
	} {
		text, err := json.Marshal(place)
		if err != nil {
			t.Fatal(err)
		}
		want := "invalid JSON body: " + strings.Trim(string(text), `"`)
		for _, target := range []string{"/policy/evaluate", "/policy/evaluate/firewall", "/v1/guardrail/evaluate", "/access/v1/evaluation", "/policy/try", "/policy/lists/block"} {
			s.expect("POST", target, body, http.StatusBadRequest, want, "X-DefenseClaw-Client: t")
		}
	}
}

func TestAMethodThatARouteDoesNotHaveNamesThoseThatItHas(t *testing.T) {
	s := full(t)
	for _, pattern := range api.Routes() {
		target := strings.NewReplacer("{path...}", "p/x", "{list}", "block", "{ref}", "1", "{id}", "x", "{$}", "").Replace(pattern)
		status, _, h := s.request("PROPFIND", target, "", "X-DefenseClaw-Client: t")
		if status != http.StatusMethodNotAllowed || h.Get("Allow") == "" {
			t.Errorf("PROPFIND %s: %d, Allow %q", target, status, h.Get("Allow"))
		}
	}
}

func TestABodyOfAnotherKindIsToldWhichIsExpected(t *testing.T) {
	s := full(t)
	for _, taker := range takers {
		target := taker.path
		if target == "" {
			target = taker.route
		}
		if strings.HasPrefix(target, "/v0/") || strings.HasPrefix(target, "/v1/") && !strings.HasPrefix(target, "/v1/guardrail/") || strings.HasPrefix(target, "/access/") || strings.Contains(target, "{$}") {
			continue // OPA's and AuthZEN's, which look at it themselves
		}
		status, answer, _ := s.request("POST", target, taker.good, "X-DefenseClaw-Client: t", "Content-Type: text/csv")
		if status != http.StatusUnsupportedMediaType || !strings.Contains(answer, "application/json") {
			t.Errorf("POST %s: %d %s", target, status, answer)
		}
	}
}

// TestWhileNothingServesCallersAreToldToComeBack: while a sidecar starts, and while there is no policy.
func TestWhileNothingServesCallersAreToldToComeBack(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx :="}, nil)
	for _, target := range []string{"/v1/data/p/x", "/v0/data/p/x", "/v1/query", "/v1/batch/data/p/x", "/policy/evaluate/firewall", "/access/v1/evaluation"} {
		status, answer, h := s.request("POST", target, takers[1].good)
		if status != http.StatusServiceUnavailable || h.Get("Retry-After") == "" || !strings.Contains(answer, "no policy loaded") {
			t.Errorf("POST %s: %d %s, Retry-After %q", target, status, answer, h.Get("Retry-After"))
		}
	}
}
