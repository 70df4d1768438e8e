package api_test

import (
	"compress/gzip"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/server"
)

func TestWhereOPADiffersTheContractSaysWhy(t *testing.T) {
	o := newOracle(t)
	const pe = `{"query":"net.lookup_ip_addr(input.x)"}`
	for _, c := range []struct {
		reason    string
		question  question
		opa, ours int    // statuses
		answer    string // of ours
	}{
		{"queries have strict builtin errors, too", question{"GET", "/v1/query?strict-builtin-errors&q=to_number(%22x%22)", "", nil}, 200, 500, "eval_builtin_error"},
		{"opa.runtime is forbidden", question{"GET", "/v1/query?q=opa.runtime()", "", nil}, 200, 400, "unsafe built-in function calls in expression: opa.runtime"},
		{"net.lookup_ip_addr is forbidden", question{"POST", "/v1/compile", pe, nil}, 200, 400, "unsafe built-in function calls in expression: net.lookup_ip_addr"},
		{"files are the only source", question{"PUT", "/v1/data/x", "1", nil}, 204, 405, "files of the policy directory are the only source"},
		{"files are the only source", question{"PATCH", "/v1/data/x", "[]", nil}, 204, 405, "files of the policy directory are the only source"},
		{"files are the only source", question{"DELETE", "/v1/data/x", "", nil}, 204, 405, "files of the policy directory are the only source"},
		{"files are the only source", question{"PUT", "/v1/policies/x.rego", "package x", nil}, 200, 405, "files of the policy directory are the only source"},
		{"files are the only source", question{"DELETE", "/v1/policies/x.rego", "", nil}, 200, 405, "files of the policy directory are the only source"},
		{"no policy has a document there", question{"GET", "/v1/data/odd/%22", "", nil}, 500, 400, `invalid ref term '\"'`},
		{"no policy has a document there", question{"POST", "/v0/data/odd/%00", "{}", nil}, 500, 400, "invalid_parameter"},
		{"no policy has a document there", question{"POST", "/v1/data/authz/note", "{}", nil}, 500, 400, "data.authz.note"},
		{"an encoded slash separates where no name has it", question{"GET", "/v1/data/odd%2F0", "", nil}, 200, 200, `"result":"zero"`},
		{"bodies are bounded", question{"POST", "/v1/data/users", `{"input":"` + strings.Repeat("x", 1<<20) + `"}`, nil}, 200, 413, "invalid_parameter"},
		{"bodies are bounded", question{"POST", "/v1/data/users", gzipped(`{"input":"` + strings.Repeat("x", 1<<20) + `"}`), []string{"Content-Encoding: gzip"}}, 200, 413, "invalid_parameter"},
		{"readiness is /health/ready", question{"GET", "/health/live", "", nil}, 500, 404, "no such route"},
		{"a path after the query", question{"GET", "/v1/query/x", "", nil}, 405, 404, "no such route"},
		{"no index page", question{"GET", "/", "", nil}, 200, 405, ""},
		{"a JSON error for what is not there", question{"GET", "/v1/nothing", "", nil}, 404, 404, "no such route"},
		{"a probe may ask with HEAD", question{"HEAD", "/health", "", nil}, 405, 200, ""},
	} {
		status, _, _ := ask(t, o.opa, c.question)
		q := c.question
		q.headers = append(q.headers, "X-DefenseClaw-Client: t")
		ourStatus, _, answer := ask(t, o.ours, q)
		if status != c.opa || ourStatus != c.ours || !strings.Contains(answer, c.answer) {
			t.Errorf("%s: %s %s: OPA %d, ours %d %.300s; want %d, %d …%s…", c.reason, q.method, q.target, status, ourStatus, answer, c.opa, c.ours, c.answer)
		}
	}
}

func TestABodyThatOnlySaysThatItIsCompressedIsA400(t *testing.T) {
	s := start(t, domains, nil)
	for _, target := range []string{"/v1/data/p/x", "/v0/data/p/x", "/", "/v1/query", "/v1/compile", "/v1/batch/data/p/x"} {
		s.expect("POST", target, `{"input":{}}`, 400, "could not decompress the body: gzip: invalid header", "Content-Encoding: gzip")
		s.expect("POST", target, gzipped(`{"query":"1"}`)[:20], 400, "could not decompress the body", "Content-Encoding: gzip")
	}
}

func TestEveryDecisionNamesItsGeneration(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, nil)
	_, answer, h := s.request("POST", "/v1/data/p/x?provenance", "{}")
	revision := h.Get("X-DefenseClaw-Revision")
	if h.Get("X-DefenseClaw-Generation") != "1" || !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(revision) {
		t.Errorf("headers name generation %q, revision %q", h.Get("X-DefenseClaw-Generation"), revision)
	}
	var got struct {
		DecisionID string `json:"decision_id"`
		Provenance struct {
			Generation int
			Bundles    map[string]struct{ Revision string }
		}
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	end := ".1." + strings.TrimPrefix(revision, "sha256:")[:12]
	if !strings.HasSuffix(got.DecisionID, end) || got.Provenance.Generation != 1 || got.Provenance.Bundles["defenseclaw"].Revision != revision {
		t.Errorf("%s does not name generation 1 and %s", answer, revision)
	}
	s.files = policy(map[string]string{"p.rego": "package p\nx := 2"})
	s.expect("POST", "/policy/reload", "", 200, "", "X-DefenseClaw-Client: t")
	_, _, h = s.request("GET", "/v1/query?q=data.p.x", "")
	if h.Get("X-DefenseClaw-Generation") != "2" || h.Get("X-DefenseClaw-Revision") == revision {
		t.Errorf("after the reload: %v", h)
	}
}

func TestABatchReportsEachOutcomeAndAllTogether(t *testing.T) {
	s := start(t, domains, nil)
	for _, c := range []struct {
		body   string
		status int
		want   []string
	}{
		{`{"inputs":{"a":{"x":1},"b":{"x":[2]},"c":{}}}`, 200, []string{`"a":{"decision_id":"`, `"result":1}`, `"result":[2]}`, `"batch_decision_id":"`}},
		{`{"inputs":{}}`, 200, []string{`"responses":{}`}},
		{`{"inputs":{"a":{"x":{"own":1}},"b":{}},"common_input":{"x":{"own":2,"shared":3}}}`, 200, []string{`"result":{"own":1,"shared":3}`, `"result":{"own":2,"shared":3}`}},
		{`{"inputs":{"a":7,"b":null},"common_input":{"x":1}}`, 200, nil},
		{`{}`, 400, []string{"missing required 'inputs' object"}},
		{`{"inputs":[]}`, 400, []string{"malformed input document"}},
		{`{"inputs":`, 400, []string{"malformed input document"}},
	} {
		status, answer, _ := s.request("POST", "/v1/batch/data/p/x", c.body)
		if status != c.status || strings.Contains(answer, "http_status_code") {
			t.Errorf("%s: %d %s; want %d, and no statuses where all are the same", c.body, status, answer, c.status)
		}
		for _, want := range c.want {
			if !strings.Contains(answer, want) {
				t.Errorf("%s: %s lacks %s", c.body, answer, want)
			}
		}
	}
	_, answer, _ := s.request("POST", "/v1/batch/data/p/fails?strict-builtin-errors", `{"inputs":{"good":{"zero":2},"bad":{"zero":0}}}`)
	for _, want := range []string{`"bad":{"http_status_code":"500","decision_id":"`, `"code":"internal_error","message":"error(s) occurred while evaluating query","errors":[{"code":"eval_builtin_error"`, `"good":{"http_status_code":"200",`, `"result":0.5}`} {
		if !strings.Contains(answer, want) {
			t.Errorf("mixed: %s lacks %s", answer, want)
		}
	}
	s.expect("POST", "/v1/batch/data/p/fails?strict-builtin-errors", `{"inputs":{"good":{"zero":2},"bad":{"zero":0}}}`, 207, "")
	s.expect("POST", "/v1/batch/data/p/fails?strict-builtin-errors", `{"inputs":{"a":{"zero":0},"b":{"zero":0}}}`, 500, `"responses":{"a":{"decision_id":"`)
	s.expect("POST", "/v1/batch/data/p/x?provenance&metrics", `{"inputs":{"a":{}}}`, 200, `"timer_server_handler_ns"`)
	s.expect("GET", "/v1/batch/data/p/x", "", 405, "")
}

// TestFiltersFollowTheMetadataThroughReloads, of which each compiles only what changed, as OPA's do that
// compiles everything.
func TestFiltersFollowTheMetadataThroughReloads(t *testing.T) {
	const sql, target = "Accept: application/vnd.opa.sql.postgresql+json", "/v1/compile/shop/orders/include"
	files := map[string]string{
		"shop.rego":   "# METADATA\n# scope: subpackages\n# compile:\n#   unknowns: [input.orders]\npackage shop\nlimit := 10",
		"orders.rego": "package shop.orders\nimport data.shop\ninclude if input.orders.price == shop.limit\nmasks.orders.card := {\"replace\": {\"value\": \"*\"}}",
		"other.rego":  "package other\nx := 1",
	}
	s := start(t, files, nil)
	for _, edit := range []struct{ file, text, want string }{
		{"other.rego", "package other\nx := 2", `{"result":{"query":"WHERE orders.price = E'10'"}}`},
		{"shop.rego", strings.Replace(files["shop.rego"], "10", "20", 1), `{"result":{"query":"WHERE orders.price = E'20'"}}`},
		{"orders.rego", strings.Replace(files["orders.rego"], "include if", "# METADATA\n# compile:\n#   mask_rule: masks\ninclude if", 1), `{"result":{"query":"WHERE orders.price = E'20'","masks":{"orders":{"card":{"replace":{"value":"*"}}}}}}`},
		{"shop.rego", strings.Replace(files["shop.rego"], "input.orders", "input.others", 1), `{"hints":[{"message":"input.orders.price undefined, did you mean input.others.price?"`}, // nothing may be seen
		{"shop.rego", strings.Replace(files["shop.rego"], "input.orders", "x.orders", 1), `"unknowns must be prefixed with`},
	} {
		files[edit.file] = edit.text
		s.files = policy(files)
		s.expect("POST", "/policy/reload", "", 200, "", "X-DefenseClaw-Client: t")
		_, _, opa := ask(t, newOracleOf(t, files, func(s *server.Server) *server.Server { return s }).opa, question{"POST", target, "{}", []string{sql}})
		_, ours, _ := s.request("POST", target, "{}", sql)
		if strings.TrimSpace(opa) != ours || !strings.Contains(ours, edit.want) {
			t.Errorf("after %s became %q:\nOPA:  %s\nours: %s\nwant: %s", edit.file, edit.text, opa, ours, edit.want)
		}
	}
}

func TestOPAsRoutesSayThatNothingServes(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx := := 1"}, nil)
	for _, target := range []string{"POST /v1/data/p/x", "POST /v0/data/p/x", "POST /", "GET /v1/query?q=1", "POST /v1/compile", "GET /v1/policies", "POST /v1/batch/data/p"} {
		method, path, _ := strings.Cut(target, " ")
		s.expect(method, path, "", 503, `"policy_unavailable"`)
	}
	s.expect("GET", "/health", "", 200, `"guardrail":{"state":"error"`)
	s.expect("GET", "/health?bundles", "", 500, `{"error":"one or more bundles are not activated"}`)
	s.expect("GET", "/health?plugins=true", "", 500, `{"error":"one or more plugins are not up"}`)
}

func TestAnExplodingQueryMeetsItsDeadline(t *testing.T) {
	s := start(t, domains, nil)
	s.expect("POST", "/v1/query", `{"query":"some i in numbers.range(1, 100000000); i < 0"}`, 500, "the decision took too long")
	s.expect("POST", "/v1/compile", `{"query":"some i in numbers.range(1, 100000000); i < 0"}`, 500, "the decision took too long")
	s.expect("POST", "/v1/data/p/x", `{"input":{"x":1}}`, 200, `"result":1`)
}

func TestLargeAnswersAreCompressedForThoseWhoAcceptIt(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\ny := input.s"}, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/v1/data/p/y", strings.NewReader(`{"input":{"s":"`+strings.Repeat("long", 2000)+`"}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept-Encoding", "gzip")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	unpacked, err := gzip.NewReader(response.Body)
	if err != nil || response.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("not compressed: %v %v", response.Header, err)
	}
	var answer struct{ Result string }
	if err := json.NewDecoder(unpacked).Decode(&answer); err != nil || answer.Result != strings.Repeat("long", 2000) {
		t.Errorf("%.80q %v", answer.Result, err)
	}
}
