package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/api"
	domainapi "defenseclaw/api/domains"
	"defenseclaw/api/gate"
	"defenseclaw/api/metrics"
	"defenseclaw/engine"
	"defenseclaw/engine/enginetest"
)

const token = "a-token-for-tests"

// sidecar is a server on a real listener over a real engine; files may be edited between calls.
type sidecar struct {
	t testing.TB
	http.Handler
	addr  string
	files fstest.MapFS

	stopServer context.CancelFunc // ends the server, not the engine

	connections *gate.Connections // nil: not bounded
}

func policy(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func start(t testing.TB, files map[string]string, change func(*api.Config, *engine.Config)) *sidecar {
	t.Helper()
	return (&sidecar{t: t, files: policy(files)}).start(t, change)
}

func (s *sidecar) start(t testing.TB, change func(*api.Config, *engine.Config)) *sidecar {
	t.Helper()
	source := func() (fs.FS, error) { return s.files, nil }
	apiConfig := api.Config{PolicyDir: "pol", Token: token, BindHost: "127.0.0.1", Source: source}
	engineConfig := engine.Config{Source: source}
	if change != nil {
		change(&apiConfig, &engineConfig)
	}
	ctx, cancel := context.WithCancel(context.Background())
	serverCtx, stopServer := context.WithCancel(ctx)
	s.stopServer = stopServer
	done := make(chan error, 2)
	eng := enginetest.New(t, engineConfig)
	if apiConfig.Control != nil {
		apiConfig.Control.Attach(eng)
	}
	go func() { done <- eng.Run(ctx) }()
	_, err := eng.Reload(ctx, engine.Trigger{Kind: engine.TriggerStartup})
	var refused *engine.Refused
	if err != nil && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	apiConfig.Engine = eng
	server, err := api.New(apiConfig)
	if err != nil {
		t.Fatal(err)
	}
	s.Handler = server
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	if s.connections != nil {
		listener = s.connections.Listener(listener)
	}
	go func() { done <- server.Run(serverCtx, listener) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

// request sends one; headers are "Name: value", a body that begins with @ is that many bytes.
func (s *sidecar) request(method, path, body string, headers ...string) (status int, answer string, h http.Header) {
	s.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, "http://"+s.addr+path, in)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Set(name, value)
		}
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(text)), response.Header
}

func (s *sidecar) expect(method, path, body string, status int, answer string, headers ...string) {
	s.t.Helper()
	gotStatus, got, _ := s.request(method, path, body, headers...)
	if gotStatus != status || !strings.Contains(got, answer) {
		s.t.Errorf("%s %s %.80q %v: %d %s; want %d …%s…", method, path, body, headers, gotStatus, got, status, answer)
	}
}

var domains = map[string]string{
	"admission.rego": `package defenseclaw.admission
verdict := v if v := input.scan_result.verdict
reason := sprintf("%d blocked, %d allowed", [count(input.block_list), count(input.allow_list)])
file_action := "none"
install_action := "allow"
runtime_action := 7`,
	"firewall.rego":      "package defenseclaw.firewall\naction := input.destination\nrule_name := sprintf(\"%v\", [input.port])",
	"sandbox.rego":       "package defenseclaw.sandbox\nallowed_endpoints := input.requested_endpoints\npermissions contains p if some p in input.requested_permissions",
	"audit.rego":         "package defenseclaw.audit\nretain := input.age_days < 10\nretain_reason := \"young\"\nexport_to := input.export_targets",
	"skill_actions.rego": "package defenseclaw.skill_actions\nruntime_action := lower(input.severity)\nshould_block := input.severity == \"HIGH\"",
	"guardrail.rego":     "package defenseclaw.guardrail\naction := input.local_result.action\nseverity := input.local_result.severity\nreason := \"r\"\nscanner_sources := [\"local-pattern\"]",
	"p.rego":             "package p\nx := input.x\nslow if { some i in numbers.range(1, 100000000); i < 0 }\nfails := 1 / input.zero",
	"data.json":          `{"odd": {"a/b": 1}}`,
}

func TestEveryDomainAnswersInItsShape(t *testing.T) {
	s := start(t, domains, nil)
	for _, c := range []struct {
		path, body string
		status     int
		answer     string
	}{
		{"/policy/evaluate", `{"domain":"admission","input":{"target_type":"skill","target_name":"n","scan_result":{"verdict":"clean"}}}`, 200,
			`{"data":{"verdict":"clean","reason":"0 blocked, 0 allowed","file_action":"none","install_action":"allow","runtime_action":"7"},"ok":true}`},
		{"/policy/evaluate", `{"input":{"target_type":"skill","target_name":"n","allow_list":[1],"block_list":[1],"scan_result":{"verdict":"clean"}}}`, 200, `0 blocked, 0 allowed`},
		{"/policy/evaluate", `{"input":{"target_type":"skill","target_name":"n"}}`, 200,
			`{"data":{"verdict":"rejected","reason":"policy evaluation failed: denied by default","file_action":"quarantine","install_action":"block","runtime_action":"block"},"ok":true}`},
		{"/policy/evaluate", `{"input":{"target_type":"skill"}}`, 400, `{"error":"input.target_type and input.target_name are required"}`},
		{"/policy/evaluate", `{"domain":"other","input":{"target_type":"a","target_name":"b"}}`, 400, `unsupported policy domain`},
		{"/policy/evaluate", `{"input":`, 400, `{"error":"invalid JSON body`},
		{"/policy/evaluate", `{"input":{"target_name":7}}`, 400, `input.target_name: a JSON number was found; string was expected`},
		{"/policy/evaluate", `{} {}`, 400, `more text after the first value`},
		{"/policy/evaluate", ``, 400, `invalid JSON body`},
		{"/policy/evaluate/firewall", `{"destination":"example.com","port":443}`, 200, `{"action":"example.com","rule_name":"443"}`},
		{"/policy/evaluate/firewall", `{"port":443}`, 400, `{"error":"destination is required"}`},
		{"/policy/evaluate/firewall", `{"destination":"a","port":"x"}`, 400, `port: a JSON string was found`},
		{"/policy/evaluate/sandbox", `{"skill_name":"s","requested_endpoints":["a"],"requested_permissions":["b"]}`, 200,
			`{"allowed_endpoints":["a"],"allowed_skills":null,"denied_endpoints":null,"denied_from_request":null,"permissions":["b"]}`},
		{"/policy/evaluate/sandbox", `{}`, 400, `skill_name is required`},
		{"/policy/evaluate/audit", `{"age_days":3,"export_targets":["siem"]}`, 200, `{"export_to":["siem"],"retain":true,"retain_reason":"young"}`},
		{"/policy/evaluate/audit", `{"age_days":"old"}`, 400, `age_days: a JSON string was found`},
		{"/policy/evaluate/skill-actions", `{"severity":"HIGH"}`, 200, `{"file_action":"","install_action":"","runtime_action":"high","should_block":true}`},
		{"/policy/evaluate/skill-actions", `{}`, 400, `severity is required`},
		{"/v1/guardrail/evaluate", `{"evaluation_id":"e","direction":"prompt","mode":"action","local_result":{"action":"alert","severity":"LOW"}}`, 200,
			`{"action":"alert","severity":"LOW","reason":"r","scanner_sources":["local-pattern"]}`},
		{"/v1/guardrail/evaluate", `{"evaluation_id":"e","direction":"prompt","mode":"action"}`, 200,
			`{"action":"block","severity":"HIGH","reason":"guardrail failing closed: `},
		{"/v1/guardrail/evaluate", `{"evaluation_id":"e","direction":"prompt","mode":"observe","local_result":{"action":"explode","severity":"LOW"}}`, 200,
			`{"action":"alert","severity":"HIGH","reason":"guardrail failing closed: `},
		{"/v1/guardrail/evaluate", `{"direction":"prompt","mode":"action"}`, 400, `evaluation_id is required`},
		{"/v1/guardrail/evaluate", `{"evaluation_id":"e","direction":"sideways","mode":"action"}`, 400, `direction is \"sideways\"; one of prompt, completion was expected`},
		{"/v1/guardrail/evaluate", `{"evaluation_id":"e","direction":"prompt","mode":"action","scanner_mode":"x"}`, 400, `scanner_mode is`},
		{"/v1/guardrail/evaluate", `{"evaluation_id":"e","direction":"prompt","mode":"action","content_length":-1}`, 400, `content_length is negative`},
		{"/v1/guardrail/evaluate", `{"evaluation_id":"e","direction":"prompt","mode":"action","elapsed_ms":-1}`, 400, `elapsed_ms must be`},
		{"/v1/data/p/x", `{"input":{"x":[1,{"y":1.50}]}}`, 200, `"result":[1,{"y":1.50}]}`},
		{"/v1/data/odd/a%2Fb", ``, 200, `"result":1`},
		{"/v1/data/p/fails?strict-builtin-errors", `{"input":{"zero":0}}`, 500, `divide by zero`},
		{"/v1/data/p/fails", `{"input":{"zero":0}}`, 200, `{"decision_id":"`},
		{"/v1/data/p/x", `{"input":`, 400, `malformed input document`},
	} {
		s.expect("POST", c.path, c.body, c.status, c.answer)
	}
	status, answer, _ := s.request("POST", "/v1/data/p/none", "")
	if status != 200 || strings.Contains(answer, "result") || !strings.Contains(answer, "decision_id") {
		t.Errorf("undefined: %d %s; want 200 without result", status, answer)
	}
	s.expect("GET", `/v1/data/p/x?input={"x":5}`, "", 200, `"result":5`)
	s.expect("GET", `/v1/data/p/x?input={`, "", 400, `malformed input document`)
}

// TestErrorsOfBuiltins are undefined on OPA's routes, as in OPA, unless the request or the setting asks otherwise; the
// domains, AuthZEN and whatever is over a limit of ours are strict.
func TestErrorsOfBuiltins(t *testing.T) {
	files := map[string]string{"p.rego": `package p
allow if not denied
denied if to_number(input.text) > 3
`, "fw.rego": "package defenseclaw.firewall\naction := \"allow\" if not to_number(input.destination) > 3\nrule_name := \"r\"\n",
		"z.rego": "package authzen\nallow if not to_number(input.subject.id) > 3\n"}
	long := `{"input":{"text":"0.` + strings.Repeat("1", 20_000) + `"}}`
	for _, strict := range []bool{false, true} {
		s := start(t, files, func(c *api.Config, _ *engine.Config) { c.StrictBuiltinErrors = strict })
		for _, c := range []struct {
			method, path, body      string
			lenient, strict         int
			lenientText, strictText string
		}{
			{"POST", "/v1/data/p/allow", `{"input":{"text":"x"}}`, 200, 500, `"result":true`, "to_number"},
			{"POST", "/v1/data/p/allow?metrics", `{"input":{"text":"x"}}`, 200, 500, `"result":true`, "to_number"},
			{"POST", "/v1/data/p/allow?strict-builtin-errors=true", `{"input":{"text":"x"}}`, 500, 500, "to_number", "to_number"},
			{"POST", "/v0/data/p/allow", `{"text":"x"}`, 200, 500, "true", "to_number"},
			{"POST", "/v1/batch/data/p/allow", `{"inputs":{"a":{"text":"x"}}}`, 200, 500, `"result":true`, "to_number"},
			{"POST", "/v1/query", `{"query":"data.p.allow","input":{"text":"x"}}`, 200, 500, "result", "to_number"},
			{"POST", "/v1/query?strict-builtin-errors=true", `{"query":"data.p.allow","input":{"text":"x"}}`, 500, 500, "to_number", "to_number"},
			{"POST", "/v1/compile", `{"query":"data.p.allow","input":{"text":"x"},"unknowns":["input.y"]}`, 200, 500, `[[]]`, "to_number"},
			{"POST", "/v1/data/p/allow", long, 500, 500, "more than 10000 digits", "more than 10000 digits"},
			{"POST", "/v1/data/p/allow?metrics", long, 500, 500, "more than 10000 digits", "more than 10000 digits"},
			{"POST", "/policy/evaluate/firewall", `{"target_type":"t","destination":"x","port":1,"protocol":"tcp"}`, 500, 500, "to_number", "to_number"},
			{"POST", "/access/v1/evaluation", `{"subject":{"type":"u","id":"x"},"action":{"name":"n"},"resource":{"type":"r","id":"1"}}`, 500, 500, "to_number", "to_number"},
		} {
			if strict {
				s.expect(c.method, c.path, c.body, c.strict, c.strictText)
			} else {
				s.expect(c.method, c.path, c.body, c.lenient, c.lenientText)
			}
		}
	}
}

func TestTheGatesStandInTheirOrder(t *testing.T) {
	s := start(t, domains, nil)
	const evil = "Origin: http://localhost.attacker.example"
	for _, c := range []struct {
		method, path, body string
		status             int
		headers            []string
	}{
		{"POST", "/policy/reload", "x", 401, []string{"Authorization: Bearer no", evil, "Content-Type: text/plain"}},
		{"POST", "/policy/reload", "", 401, []string{"Authorization: Basic " + token}},
		{"POST", "/policy/reload", "", 200, []string{"Authorization: ", "X-DefenseClaw-Token: " + token, "X-DefenseClaw-Client: t"}},
		{"POST", "/policy/reload", "", 200, []string{"Authorization: ", "X-DC-Auth: Bearer " + token, "X-DefenseClaw-Client: t"}},
		{"POST", "/policy/reload", "x", 403, []string{evil, "Content-Type: text/plain", "X-DefenseClaw-Client: t"}},
		{"POST", "/policy/reload", "x", 403, []string{"Content-Type: text/plain"}},
		{"POST", "/policy/reload", "x", 415, []string{"Content-Type: text/plain", "X-DefenseClaw-Client: t"}},
		{"PATCH", "/policy/reload", "x", 415, []string{"Content-Type: text/plain", "X-DefenseClaw-Client: t"}},
		{"PATCH", "/policy/reload", "{}", 405, []string{"X-DefenseClaw-Client: t"}},
		{"HEAD", "/policy/reload", "", 405, nil},
		{"GET", "/policy/status", "", 403, []string{"Host: evil.example", "Referer: x"}},
		{"GET", "/policy/status", "", 403, []string{"Host: 10.0.0.1:80", "Referer: x"}},
		{"GET", "/policy/status", "", 200, []string{"Host: localhost:1"}},
		{"GET", "/policy/status", "", 200, []string{"Host: [::1]:99"}},
		{"GET", "/policy/status", "", 403, []string{"Sec-Fetch-Site: cross-site"}},
		{"GET", "/policy/status", "", 200, []string{"Sec-Fetch-Site: same-origin"}},
		{"POST", "/policy/status", "", 405, nil},
		{"POST", "/policy/evaluate/firewall", `{"destination":"a"}`, 415, []string{"Content-Type: text/plain"}},
		{"GET", "/nowhere", "", 404, nil},
		{"GET", "/nowhere", "", 401, []string{"Authorization: "}},
		{"GET", "/health", "", 200, []string{"Authorization: ", "Host: evil.example", "Referer: x"}},
		{"GET", "/health/ready", "", 200, []string{"Authorization: "}},
		{"POST", "/health", "", 401, []string{"Authorization: "}},
		{"POST", "/v1/data/p/x", `{"input":{}}`, 200, []string{"Content-Type: application/x-www-form-urlencoded"}},
	} {
		s.expect(c.method, c.path, c.body, c.status, "", c.headers...)
	}
	big := `{"destination":"` + strings.Repeat("a", 1<<20) + `"}`
	s.expect("POST", "/policy/evaluate/firewall", big, 413, "larger than 1048576 bytes")
	s.expect("POST", "/v1/data/p/x", `{"input":"`+strings.Repeat("a", 1<<20)+`"}`, 413, "")
}

func TestEveryAnswerCarriesARequestID(t *testing.T) {
	s := start(t, domains, nil)
	for sent, kept := range map[string]bool{"X-Request-Id: mine": true, "X-DefenseClaw-Request-Id: mine": true, "X-Correlation-Id: mine": true, "X-Request-Id: " + strings.Repeat("x", 200): false} {
		_, _, h := s.request("GET", "/health", "", sent)
		if got := h.Get("X-DefenseClaw-Request-Id"); (got == "mine") != kept || got == "" {
			t.Errorf("%.40s: answered with %q", sent, got)
		}
	}
}

func TestAReloadThatIsNotRecordedIsA500(t *testing.T) {
	s := start(t, domains, func(_ *api.Config, e *engine.Config) {
		e.Announcements = []engine.Announcement{{Name: api.AnnounceAudit, Run: func(context.Context, engine.Report) error {
			return errors.New("disk full")
		}}}
	})
	s.files = policy(map[string]string{"p.rego": "package p\nx := 2"})
	s.expect("POST", "/policy/reload", "", 500, `{"error":"policy reloaded but compliance logging failed"`, "X-DefenseClaw-Client: t")
	s.expect("POST", "/v1/data/p/x", "", 200, `"result":2`)
}

func TestASlowDecisionMeetsItsDeadline(t *testing.T) {
	s := start(t, domains, nil)
	slow := make(chan int)
	go func() {
		status, _, _ := s.request("POST", "/v1/data/p/slow", "")
		slow <- status
	}()
	s.expect("POST", "/v1/data/p/x", `{"input":{"x":1}}`, 200, `"result":1`)
	if status := <-slow; status != 500 {
		t.Errorf("the exploding decision answered %d; want 500", status)
	}
}

func TestStatusTellsTheTruthBeforeAndAfterAFailure(t *testing.T) {
	s := start(t, domains, nil)
	s.expect("GET", "/policy/status", "", 200, `"state":"current"`)
	s.files = policy(map[string]string{"p.rego": "package p\nx := := 2"})
	s.expect("POST", "/policy/reload", "", 500, `"reload failed: p.rego:2:6: `, "X-DefenseClaw-Client: t")
	status, answer, _ := s.request("GET", "/policy/status", "")
	for _, want := range []string{`"state":"stale"`, `"generation":1`, `"status":"failed","trigger":"api"`, `"file":"p.rego","line":2,"column":6`, `"changed":[]`, `"modules":7`, `"watch":{"enabled":false`} {
		if status != 200 || !strings.Contains(answer, want) {
			t.Errorf("status %d %s lacks %s", status, answer, want)
		}
	}
}

func TestTheClientTellsRefusedFromUnreachableFromTimedOut(t *testing.T) {
	s := start(t, domains, nil)
	s.files = policy(map[string]string{"p.rego": "package p\nx := := 2"})
	_, err := (&api.Client{Addr: s.addr, Token: token}).Reload(t.Context())
	var answered *api.AnswerError
	if !errors.As(err, &answered) || answered.StatusCode != 500 || !strings.Contains(err.Error(), "reload failed: p.rego:2:6") {
		t.Errorf("refused: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := listener.Addr().String()
	_, err = (&api.Client{Addr: silent, Token: token, Timeout: 50 * time.Millisecond}).Reload(t.Context())
	if want := fmt.Sprintf("http://%s/policy/reload timed out: no answer within 50ms", silent); err == nil || err.Error() != want {
		t.Errorf("timed out: %v; want %s", err, want)
	}
	listener.Close()
	_, err = (&api.Client{Addr: silent, Token: token}).Reload(t.Context())
	if want := fmt.Sprintf("cannot reach http://%s/policy/reload: connection refused", silent); err == nil || err.Error() != want {
		t.Errorf("unreachable: %v; want %s", err, want)
	}
	for bind, want := range map[string]string{"0.0.0.0:80": "127.0.0.1:80", "[::]:80": "[::1]:80", ":80": "127.0.0.1:80", "[::1]:80": "[::1]:80", "10.1.2.3:80": "10.1.2.3:80"} {
		if got := api.ReachableAddr(bind); got != want {
			t.Errorf("ReachableAddr(%s) is %s; want %s", bind, got, want)
		}
	}
}

func TestRoutesAndTheirDocumentAgree(t *testing.T) {
	var document strings.Builder
	for _, page := range pages(t) {
		document.WriteString(page)
	}
	s := start(t, domains, nil)
	described := regexp.MustCompile("`(GET|POST) (/[^` ?]*)").FindAllStringSubmatch(document.String(), -1)
	var paths []string
	asked := map[string]bool{}
	for _, m := range described {
		path := strings.NewReplacer("{path}", "p/x").Replace(m[2])
		if asked[m[0]] {
			continue
		}
		asked[m[0]] = true
		paths = append(paths, path)
		status, answer, _ := s.request(m[1], path, "", "X-DefenseClaw-Client: t")
		ofOne := strings.Contains(answer, `"code":`) || strings.Contains(answer, "no file of this name") // OPA's 404 is of a document
		if status == 405 || status == 404 && !ofOne {
			t.Errorf("%s %s is documented and answers %d", m[1], path, status)
		}
	}
	for _, pattern := range api.Routes() {
		path := strings.NewReplacer("{path...}", "p/x", "{$}", "").Replace(pattern)
		if !slices.Contains(paths, path) && !slices.Contains(paths, path+"/p/x") {
			t.Errorf("%s is not in docs/reference/api", pattern)
		}
	}
}

func TestRequestsUnderWayAreAnsweredBeforeTheServerEnds(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := start(t, domains, func(_ *api.Config, e *engine.Config) {
		e.Announcements = []engine.Announcement{{Name: "slow", Run: func(_ context.Context, r engine.Report) error {
			if r.Trigger.Kind == engine.TriggerAPI {
				close(entered)
				<-release
			}
			return nil
		}}}
	})
	answer := make(chan int)
	go func() {
		status, _, _ := s.request("POST", "/policy/reload", "", "X-DefenseClaw-Client: t")
		answer <- status
	}()
	<-entered
	s.stopServer()
	close(release)
	if status := <-answer; status != 200 {
		t.Errorf("the request under way was answered with %d; want 200", status)
	}
}

func TestEveryDomainIsCountedUnderItsName(t *testing.T) {
	s := start(t, domains, nil)
	for path, body := range map[string]string{
		"/policy/evaluate":               `{"input":{"target_type":"skill","target_name":"n"}}`,
		"/policy/evaluate/firewall":      `{"destination":"d"}`,
		"/policy/evaluate/sandbox":       `{"skill_name":"s"}`,
		"/policy/evaluate/audit":         `{}`,
		"/policy/evaluate/skill-actions": `{"severity":"LOW"}`,
		"/v1/guardrail/evaluate":         `{"evaluation_id":"e","direction":"prompt","mode":"action"}`,
	} {
		s.expect("POST", path, body, 200, "")
	}
	if domainapi.VerdictError != metrics.VerdictError {
		t.Errorf("domains and metrics name an error %q and %q", domainapi.VerdictError, metrics.VerdictError)
	}
	_, answer, _ := s.request("GET", "/metrics", "")
	for _, name := range []string{
		metrics.DomainAdmission, metrics.DomainFirewall, metrics.DomainSandbox, metrics.DomainAudit,
		metrics.DomainSkillActions, metrics.DomainGuardrail,
	} {
		if !regexp.MustCompile(`defenseclaw_policy_evaluations_total\{.*policy_domain="` + name + `".*\} [1-9]`).MatchString(answer) {
			t.Errorf("no decision of the domain %s is counted", name)
		}
	}
}
