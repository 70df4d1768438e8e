package api_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/server"
)

// guarded is a policy whose answers show its input.
var guarded = map[string]string{
	"authz.rego": `package system.authz

default allow := {"allowed": false}

allow := {"allowed": false, "reason": json.marshal(shown)} if input.params.show

shown := object.union(object.remove(input, ["headers"]), {"h": object.get(input.headers, "X-H", null)})

allow := true if {
	input.identity == "a-token-for-tests"
	input.path == ["v1", "data", "open", "x"]
	not input.body.input.refused
}

allow := true if input.params.open
allow := false if input.params.shut
allow := {"reason": "no word of allowed"} if input.params.wordless
allow := {"allowed": "true"} if input.params.text
allow := {"allowed": false, "reason": 7} if input.params.number
allow := "true" if input.params.odd
allow := 1 / to_number(input.params.zero[0]) if input.params.zero
allow := [x | some x in input.params.conflict][y] if { input.params.conflict; some y in [0, 1] }
`,
	"open.rego": "package open\nx := object.get(input, \"n\", 1)",
	"shut.rego": "package shut\nx := 2",
}

func withAuthz(t testing.TB) *oracle {
	return newOracleOf(t, guarded, func(s *server.Server) *server.Server {
		return s.WithAuthorization(server.AuthorizationBasic).WithAuthentication(server.AuthenticationToken)
	})
}

func TestSystemAuthzDecidesEveryRequestAsInOPA(t *testing.T) {
	o := withAuthz(t)
	yaml := []string{"Content-Type: application/yaml"}
	questions := []question{
		{"POST", "/v1/data/open/x", `{"input":{"n":7}}`, nil}, {"POST", "/v1/data/open/x", `{"input":{"refused":true}}`, nil},
		{"POST", "/v1/data/open/x", ``, nil}, {"GET", "/v1/data/open/x", ``, nil}, {"GET", "/v1/data/open/x?input={\"n\":3}", ``, nil},
		{"POST", "/v1/data/open/x", "input:\n  n: 5\n", yaml}, {"POST", "/v1/data/open/x", "input:\n  refused: 1\n", yaml},
		{"POST", "/v1/data/open/x", gzipped(`{"input":{"n":9}}`), []string{"Content-Encoding: gzip"}},
		{"POST", "/v1/data/open/x", gzipped(`{"input":{"refused":1}}`), []string{"Content-Encoding: gzip"}},
		{"GET", "/v1/data/shut/x", ``, nil}, {"GET", "/v1/data/shut/x?open", ``, nil}, {"POST", "/v1/data/shut/x?open=1", `{}`, nil},
		{"GET", "/v1/query?q=data.shut.x", ``, nil}, {"GET", "/v1/query?q=1&open", ``, nil}, {"POST", "/v1/query?open", `{"query":"x := data.shut.x"}`, nil},
		{"POST", "/v1/compile?open", `{"query":"input.x == 1"}`, nil}, {"GET", "/v1/policies", ``, nil},
		{"GET", "/v1/data?shut", ``, nil}, {"GET", "/v1/data?text", ``, nil}, {"GET", "/v1/data?number", ``, nil}, {"GET", "/v1/data?odd", ``, nil}, {"GET", "/v1/data?wordless", ``, nil},
		{"POST", "/v1/data/open/x?open", `{"input":`, nil}, {"POST", "/v1/data/open/x?open", `nothing`, nil},
	}
	for _, target := range []string{
		"/v1/data?show", "/v1/data/a/b?show&x=1&x=2", "/v1/data/a%2Fb/c?show", "/v1/policies?show", "/v1/policies/a%2Fb.rego?show", "/v1/query?q=1&show", "/v0/data/x?show",
		"/v1/data/a%20b/%C3%BC?show", "/?show",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			questions = append(questions, question{method, target, `{"input":{"a":[1,1.50,"<"]}}`, []string{"X-H: 1"}})
		}
	}
	for _, target := range []string{"/v1/data/x?show", "/v0/data/x?show", "/v1/query?show", "/v1/compile?show", "/?show"} {
		for _, body := range []string{`"text"`, `null`, `[1]`, `12345678901234567890`, ``, `{"a":`, "{}x", `{"a":1,"a":2}`} {
			questions = append(questions, question{"POST", target, body, nil})
		}
		questions = append(questions, question{"POST", target, "a: [1, 2]", yaml})
	}
	for _, q := range questions {
		// Ours has one header that OPA's does not, and asks for one on what changes something.
		opaStatus, _, opaBody := ask(t, o.opa, q)
		q.headers = append(q.headers, "X-DefenseClaw-Client: t")
		status, h, body := ask(t, o.ours, q)
		if opa, ours := comparable(opaStatus, h, opaBody), comparable(status, h, body); opa != ours {
			t.Errorf("%s %s %.60q %v:\nOPA  %d %s\nours %d %s", q.method, q.target, q.body, q.headers, opaStatus, opaBody, status, body)
		}
	}
}

func TestTheTokenComesBeforeSystemAuthz(t *testing.T) {
	s := start(t, guarded, nil)
	s.expect("POST", "/v1/data/open/x", `{"input":{}}`, http.StatusOK, `"result":1`)
	s.expect("GET", "/v1/data/open/x", "", http.StatusUnauthorized, `{"error":"unauthorized"}`, "Authorization: Bearer no")
	s.expect("GET", "/v1/data?open", "", http.StatusUnauthorized, `{"error":"unauthorized"}`, "Authorization: ")
	s.expect("GET", "/v1/data?open", "", http.StatusForbidden, `Origin`, "Origin: http://evil.example")
}

func TestSystemAuthzStandsBeforeEveryRouteButTheProbes(t *testing.T) {
	s := start(t, guarded, nil)
	const refused = `{"error":"request rejected by administrative policy"}`
	for _, target := range []string{"GET /policy/status", "GET /metrics", "GET /audit/records", "GET /policy/events", "GET /nowhere", "POST /policy/reload", "POST /policy/status",
		"POST /policy/evaluate/firewall", "POST /access/v1/evaluation", "GET /.well-known/authzen-configuration", "POST /health"} {
		method, path, _ := strings.Cut(target, " ")
		s.expect(method, path, "", http.StatusUnauthorized, refused, "X-DefenseClaw-Client: t")
	}
	s.expect("GET", "/policy/status?open", "", http.StatusOK, `"generation":1`)
	s.expect("GET", "/policy/status?wordless", "", http.StatusInternalServerError, `{"error":"document missing or undefined"}`)
	s.expect("GET", "/health", "", http.StatusOK, `"api":{"state":"running"`, "Authorization: ")
	s.expect("GET", "/health/ready", "", http.StatusOK, "{}", "Authorization: ")
}

func TestSystemAuthzFailsClosed(t *testing.T) {
	s := start(t, guarded, nil)
	s.expect("GET", "/v1/data/open/x?zero=0", "", http.StatusInternalServerError, `"code": "internal_error"`)
	s.expect("GET", "/policy/status?zero=0", "", http.StatusInternalServerError, `error(s) occurred while evaluating query`)
	s.expect("GET", "/v1/data/open/x?conflict=1&conflict=2", "", http.StatusInternalServerError, `internal_error`)
	for name, text := range map[string]string{
		"undefined":  "package system.authz\nallow if false",
		"elsewhere":  "package system.authz\nallowed := true",
		"not a rule": "package system\nauthz.allow if input.never",
		"one value":  "package system\nauthz := {\"allowed\": true}",
		"too slow":   "package system.authz\nallow if { some i in numbers.range(1, 100000000); i < 0 }",
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, map[string]string{"authz.rego": text}, nil)
			s.expect("GET", "/v1/data", "", http.StatusInternalServerError, `internal_error`)
			s.expect("POST", "/policy/reload", "", http.StatusInternalServerError, `"error"`, "X-DefenseClaw-Client: t")
		})
	}
}

func TestAPermissionIsOfTheGenerationThatServes(t *testing.T) {
	open := map[string]string{"authz.rego": "package system.authz\nallow := true", "p.rego": "package p\nx := 1"}
	s := start(t, open, nil)
	reload := func(want int) { s.expect("POST", "/policy/reload", "", want, "", "X-DefenseClaw-Client: t") }
	s.expect("GET", "/v1/data/p/x", "", http.StatusOK, `"result":1`)
	s.files = policy(map[string]string{"authz.rego": "package system.authz\nallow if input.path[0] == \"policy\"", "p.rego": "package p\nx := 1"})
	reload(http.StatusOK)
	s.expect("GET", "/v1/data/p/x", "", http.StatusInternalServerError, "authorization policy missing or undefined")
	s.files = policy(map[string]string{"authz.rego": "package system.authz\nallow :=", "p.rego": "package p\nx := 2"})
	reload(http.StatusInternalServerError)
	s.expect("GET", "/v1/data/p/x", "", http.StatusInternalServerError, "authorization policy missing or undefined") // the last good one guards
	s.files = policy(map[string]string{"p.rego": "package p\nx := 3"})
	reload(http.StatusOK)
	s.expect("GET", "/v1/data/p/x", "", http.StatusOK, `"result":3`)
}

// TestTheRouteReadsWhatSystemAuthzSaw also when a body says two things.
func TestTheRouteReadsWhatSystemAuthzSaw(t *testing.T) {
	s := start(t, map[string]string{"authz.rego": `package system.authz
default allow := false
allow if not secret
secret if input.body.input.secret
secret if input.body.inputs[_].secret`, "p.rego": "package p\nx := object.get(input, \"secret\", false)"}, nil)
	const path = "/v1/data/p/x"
	s.expect("POST", path, `{"input":{"secret":true}}`, 401, "")
	s.expect("POST", path, `{"input":{"secret":true},"input":{}}`, 200, `"result":false`)
	s.expect("POST", path, `{"input":{},"input":{"secret":true}}`, 401, "")
	for _, name := range []string{"Input", "INPUT", "inPut"} {
		s.expect("POST", path, `{"`+name+`":{"secret":true}}`, 400, `must be written \"input\"`)
	}
	s.expect("POST", path, `{"input":{}} {"input":{"secret":true}}`, 400, "")
	s.expect("POST", path, "input: {secret: true}", 401, "", "Content-Type: text/yaml")
	s.expect("POST", "/v1/batch/data/p/x", `{"inputs":{"a":{"secret":true}}}`, 401, "")
	s.expect("POST", "/v1/batch/data/p/x", `{"inputs":{"a":{"secret":true}},"inputs":{"b":{}}}`, 200, `"result":false`)
	s.expect("POST", "/v1/batch/data/p/x", `{"input\u017f":{"a":{"secret":true}}}`, 400, `must be written \"inputs\"`)
	s.expect("POST", "/v1/compile/p/x", `{"options":{"MASKRULE":"m"}}`, 400, `must be written \"maskRule\"`, "Accept: application/vnd.opa.sql.mysql+json")
	s.expect("POST", path, `{"input":"`+strings.Repeat("a", 1<<20)+`"}`, 413, "")
}

func TestSystemAuthzIsToldOfTheCallersCertificate(t *testing.T) {
	s := start(t, map[string]string{"authz.rego": `package system.authz
allow := {"allowed": input.identity == "CN=ada,O=tests", "reason": sprintf("%s of %s", [input.identity, input.client_certificates[0].Issuer.CommonName])}`}, nil)
	for name, want := range map[string]int{"ada": http.StatusOK, "eve": http.StatusUnauthorized} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/v1/data", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: name, Organization: []string{"tests"}}, Issuer: pkix.Name{CommonName: "root"}}}}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want || want != http.StatusOK && !bytes.Contains(w.Body.Bytes(), []byte("CN=eve,O=tests of root")) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// TestSystemAuthzSeesThePathThatTheRouteUses, however it is written: whatever a policy keeps from callers by
// its name, no spelling of the name gets.
func TestSystemAuthzSeesThePathThatTheRouteUses(t *testing.T) {
	const marker = "kept-from-callers"
	s := start(t, map[string]string{
		"authz.rego": `package system.authz
default allow := true
allow := false if { some part in input.path; contains(part, "secret") }
allow := false if { some part in input.path; contains(part, "block") }`,
		"p.rego":        "package p\nsecret := \"" + marker + "\"\nopen := 1",
		"f.rego":        "package f\n# METADATA\n# scope: document\nsecret if input.rows.name == \"" + marker + "\"\nopen if input.rows.name == \"x\"",
		"d/secret.rego": "package d\nx := \"" + marker + "\"",
		"data.json":     `{"q":{"secret":"` + marker + `"}}`,
	}, nil)
	spellings := []string{
		"secret", "secre%74", "%73%65%63%72%65%74", "secre%2574", "%2573ecret", "secre%252574", "secret%2F", "%2Fsecret", "secret%00", "secret.rego", "secre%74.rego", "secre%2574.rego", "secret%3Bx",
		"open", "x%2F..%2Fsecret", "..", "%2e%2e", ".", "%2e", "", "p", "q", "f", "d", "p%2Fsecret", "q%2Fsecre%74", "f%2Fsecre%2574", "d%2Fsecret.rego", "d%252Fsecret.rego", "%70", "bl%6Fck",
	}
	prefixes := []string{
		"/v1/data/", "/v0/data/", "/v1/batch/data/", "/v1/compile/", "/v1/policies/", "/v1/%64ata/", "/v1%2Fdata/", "/v1/x/../data/", "//v1/data/", "/v1/./compile/", "/v1/%63ompile/", "/v1/policies%2F", "/policy/lists/",
	}
	const body = `{"input":{},"inputs":{"a":{}},"unknowns":["input.rows"],"target_type":"skill","target_name":"x"}`
	answered := 0
	for _, prefix := range prefixes {
		for _, first := range spellings {
			for _, second := range append(spellings, "none") {
				target := prefix + first + "/" + second
				if second == "none" {
					if strings.Contains(prefix, "ata") {
						continue // a whole package holds what its rules make
					}
					target = prefix + first
				}
				for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodConnect} {
					r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1/", strings.NewReader(body))
					u, err := url.ParseRequestURI(target)
					if err != nil {
						t.Fatal(err)
					}
					r.URL, r.RemoteAddr = u, "127.0.0.1:1"
					for _, header := range []string{"Authorization: Bearer " + token, "X-DefenseClaw-Client: t", "Content-Type: application/json", "Accept: application/vnd.opa.sql.postgresql+json"} {
						name, value, _ := strings.Cut(header, ": ")
						r.Header.Set(name, value)
					}
					w := httptest.NewRecorder()
					s.ServeHTTP(w, r)
					if strings.Contains(w.Body.String(), marker) || strings.Contains(w.Body.String(), `"changed"`) {
						t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
					}
					if w.Code == http.StatusOK {
						answered++
					}
				}
			}
		}
	}
	if answered < 1000 { // of some 37,000
		t.Errorf("only %d requests got as far as a route", answered)
	}
	filter := []string{"Accept: application/vnd.opa.sql.postgresql+json"}
	s.expect("POST", "/v1/compile/f/secre%2574", body, http.StatusOK, `{}`, filter...) // there is no such rule
	s.expect("POST", "/v1/compile/f/secre%74", body, http.StatusUnauthorized, "", filter...)
	s.expect("POST", "/v1/compile/f%2Fopen", body, http.StatusOK, `WHERE`, filter...) // it separates, for the policy too
	s.expect("POST", "/v1/compile/f/open", body, http.StatusOK, `WHERE`, filter...)
}
