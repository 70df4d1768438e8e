package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/decisionlog"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/plugins/logs"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/util"
)

// logPolicy masks and drops, in both servers.
const logPolicy = `package system.log

drop if input.input.quiet

drop if input.path == "long/0"

mask contains "/input/hidden"

mask contains {"op": "upsert", "path": "/input/card", "value": sprintf("…%s", [substring(input.input.card, 12, 4)])}

mask contains "/result/roles" if input.path == "authz"`

// logged collects events, one by one.
type logged struct {
	mu     sync.Mutex
	events []string
}

func (l *logged) add(event string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, event)
}

func (l *logged) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.events
	l.events = nil
	return taken
}

// Write makes it the console of our log.
func (l *logged) Write(line []byte) (int, error) { l.add(string(line)); return len(line), nil }

// opaSink makes it the sink of OPA's log.
type opaSink struct{ *logged }

func (opaSink) Start(context.Context) error      { return nil }
func (opaSink) Stop(context.Context)             {}
func (opaSink) Reconfigure(context.Context, any) {}

func (s opaSink) Log(_ context.Context, e logs.EventV1) error {
	text, err := json.Marshal(e)
	s.add(string(text))
	return err
}

// withLog starts a server that logs.
func withLog(t testing.TB, files map[string]string) (*sidecar, *logged) {
	t.Helper()
	out := &logged{}
	l, err := decisionlog.New(decisionlog.Config{Console: out})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return start(t, files, func(c *api.Config, _ *engine.Config) { c.Decisions = l }), out
}

// comparableEvent is an event without what cannot be the same, checked to be there where it must be.
func comparableEvent(t testing.TB, text string) string {
	t.Helper()
	var e map[string]any
	if err := util.UnmarshalJSON([]byte(text), &e); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for _, name := range []string{"labels", "decision_id", "timestamp", "metrics"} {
		if e[name] == nil {
			t.Errorf("no %s in %s", name, text)
		}
		delete(e, name)
	}
	delete(e, "type")    // of consoles
	delete(e, "bundles") // OPA's server has none here
	delete(e, "custom")  // ours names the request
	delete(e, "req_id")  // OPA counts requests
	delete(e, "rule_labels")
	if err, ok := e["error"].(map[string]any); ok {
		delete(err, "location")
	}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEventsAreThoseOfOPA(t *testing.T) {
	policies := map[string]string{"log.rego": logPolicy}
	for name, text := range oraclePolicies {
		policies[name] = text
	}
	files := map[string]string{"data.json": oracleData}
	for name, text := range policies {
		files[name] = text
	}
	ours, ourEvents := withLog(t, files)
	manager, store := oracleManager(t, policies)
	opaEvents := &logged{}
	manager.Register("sink", opaSink{opaEvents})
	cfg, err := logs.NewConfigBuilder().WithBytes([]byte(`{"plugin":"sink"}`)).WithPlugins([]string{"sink"}).Parse()
	if err != nil {
		t.Fatal(err)
	}
	o := newOracleWith(t, ours, server.New().WithStore(store).WithManager(manager).WithDecisionLoggerWithErr(logs.New(cfg, manager).Log))
	server := o.opa
	o.opa = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // as OPA's runtime does
		server.ServeHTTP(w, r.WithContext(logging.NewContext(r.Context(), &logging.RequestContext{ClientAddr: r.RemoteAddr, ReqID: 1})))
	})
	asked := 0
	for _, q := range []question{
		{"POST", "/v1/data/authz/allow", `{"input":{"user":"alice"}}`, nil}, {"POST", "/v1/data/authz", `{"input":{"user":"alice"}}`, nil},
		{"POST", "/v1/data/authz/allow", `{"input":{"user":"alice","hidden":{"a":1},"card":"1234567812345678"}}`, nil},
		{"POST", "/v1/data/authz/allow", `{"input":{"quiet":true}}`, nil}, {"POST", "/v1/data/authz/allow", `{"input":null}`, nil}, {"POST", "/v1/data/authz/allow", `{}`, nil},
		{"POST", "/v1/data/authz/allow", ``, nil}, {"POST", "/v1/data/authz/allow", `{"input":"text"}`, nil}, {"POST", "/v1/data/authz/allow", `{"input":[1,1.50,1e3]}`, nil},
		{"GET", "/v1/data/authz/allow?input=%7B%22user%22:%22bob%22%7D", ``, nil}, {"GET", "/v1/data/authz/nested", ``, nil}, {"GET", "/v1/data/users/alice", ``, nil},
		{"GET", "/v1/data/none/such", ``, nil}, {"POST", "/v1/data/main", `{"input":{}}`, nil}, {"GET", "/v1/data/n", ``, nil}, {"GET", "/v1/data/long/0", ``, nil}, {"GET", "/v1/data/long/1", ``, nil},
		{"GET", "/v1/data/odd/a%2Fb", ``, nil}, {"GET", "/v1/data/odd/a%20b", ``, nil}, {"GET", "/v1/data/odd/%C3%BC", ``, nil}, {"GET", "/v1/data/odd/+", ``, nil}, {"GET", "/v1/data/kinds", ``, nil},
		{"GET", "/v1/data/kinds/s", ``, nil}, {"GET", "/v1/data/kinds/o", ``, nil}, {"GET", "/v1/data/kinds/number", ``, nil}, {"GET", "/v1/data/html", ``, nil}, {"GET", "/v1/data/big", ``, nil},
		{"GET", "/v1/data/dashed/foo-bar/baz/v", ``, nil}, {"GET", "/v1/data/conflict/a", ``, nil}, {"POST", "/v1/data/conflict/b", `{"input":{"vs":[1,2],"hidden":1}}`, nil},
		{"POST", "/v1/data/kinds/strict", `{"input":{"text":"no number"}}`, nil}, {"POST", "/v1/data/kinds/strict?strict-builtin-errors", `{"input":{"text":"no number"}}`, nil},
		{"POST", "/v1/data/labels/y", `{"input":{"on":true}}`, nil},
		{"POST", "/v0/data/authz/allow", `{"user":"alice","hidden":1}`, nil}, {"POST", "/", `{"who":"me","hidden":1}`, nil}, {"POST", "/v0/data/odd/a%2Fb", `1`, nil},
		{"GET", "/v1/query?q=x%20:=%20data.users[u].age", ``, nil}, {"POST", "/v1/query", `{"query":"input.user = u; data.users[u]","input":{"user":"bob","hidden":1}}`, nil},
		{"GET", "/v1/query?q=data.none.such", ``, nil}, {"GET", "/v1/query?q=false", ``, nil}, {"GET", "/v1/query?q=true", ``, nil},
		{"POST", "/v1/compile", `{"query":"input.x == 1"}`, nil}, {"POST", "/v1/data/authz/allow", `{"input":`, nil}, {"GET", "/v1/query?q=)", ``, nil}, {"GET", "/v1/policies", ``, nil}, {"GET", "/health", ``, nil},
	} {
		ask(t, o.opa, q)
		ask(t, o.ours, q)
		want := opaEvents.take()
		asked++
		ask(t, o.ours, question{"POST", "/v1/data/t", fmt.Sprintf(`{"input":"end of %d"}`, asked), nil}) // events keep their order
		var got []string
		for end := false; !end; {
			for _, e := range ourEvents.take() {
				if end = strings.Contains(e, fmt.Sprintf(`"end of %d"`, asked)); !end {
					got = append(got, e)
				}
			}
			if !end {
				time.Sleep(time.Millisecond)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s %s %s:\nOPA  %s\nours %s", q.method, q.target, q.body, want, got)
			continue
		}
		for i := range want {
			if theirs, mine := comparableEvent(t, want[i]), comparableEvent(t, got[i]); theirs != mine {
				t.Errorf("%s %s %s:\nOPA  %s\nours %s", q.method, q.target, q.body, theirs, mine)
			}
		}
	}
}

func TestEveryProtocolLogsItsDecisions(t *testing.T) {
	files := map[string]string{
		"z.rego":         "package authzen\nallow if input.subject.id == \"alice\"",
		"firewall.rego":  "package defenseclaw.firewall\naction := \"deny\"\nrule_name := \"all\"",
		"guardrail.rego": "package defenseclaw.guardrail\naction := \"allow\"\nseverity := \"NONE\"",
		"authz.rego":     "package system.authz\nallow if input.identity == \"" + token + "\"",
	}
	s, out := withLog(t, files)
	const subject, rest = `"subject":{"type":"user","id":"alice"}`, `"action":{"name":"read"},"resource":{"type":"doc","id":"1"}`
	for _, c := range []struct {
		path, body string
		want       []string // each event as a summary
		status     int
	}{
		{"/policy/evaluate/firewall", `{"destination":"example.com"}`, []string{`defenseclaw/firewall {"action":"deny","rule_name":"all"}`}, 200},
		{"/policy/evaluate/sandbox", `{"skill_name":"x"}`, []string{`defenseclaw/sandbox error package defenseclaw.sandbox is not in the policy`}, 404},
		{"/policy/evaluate", `{"input":{"target_type":"skill","target_name":"x"}}`, []string{`defenseclaw/admission error package defenseclaw.admission is not in the policy`}, 200},
		{"/v1/guardrail/evaluate", `{"evaluation_id":"1","direction":"prompt","mode":"action","content":"s3cret words"}`, []string{`defenseclaw/guardrail {"action":"allow","severity":"NONE"}`}, 200},
		{"/access/v1/evaluation", `{` + subject + `,` + rest + `}`, []string{`authzen/allow true`}, 200},
		{"/access/v1/evaluations", `{` + rest + `,"evaluations":[{` + subject + `},{"subject":{"type":"user","id":"bob"}}]}`, []string{`authzen/allow true batch`, `authzen/allow undefined batch`}, 200},
		{"/v1/batch/data/authzen/allow", `{"inputs":{"a":{` + subject + `},"b":{}}}`, []string{`authzen/allow true batch`, `authzen/allow undefined batch`}, 200},
	} {
		s.expect("POST", c.path, c.body, c.status, "", "X-DefenseClaw-Client: t", "X-DefenseClaw-Request-Id: req-1")
		var got []string
		batches := map[any]bool{}
		var events []string
		for deadline := time.Now().Add(60 * time.Second); len(events) < len(c.want) && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			events = append(events, out.take()...)
		}
		for _, text := range events {
			var e map[string]any
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				t.Fatal(err)
			}
			got = append(got, summary(e))
			batches[e["batch_decision_id"]] = true
			id, _ := e["decision_id"].(string)
			custom, _ := e["custom"].(map[string]any)
			by, _ := e["requested_by"].(string)
			if strings.Count(id, ".") != 2 || custom["request_id"] != "req-1" || !strings.HasPrefix(by, "127.0.0.1:") {
				t.Errorf("%s: decision_id %q, custom %v, requested_by %q", c.path, id, custom, by)
			}
			if strings.Contains(text, token) || strings.Contains(text, "s3cret") || strings.Contains(text, "headers") {
				t.Errorf("%s: there is a secret in %s", c.path, text)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.path, got, c.want)
		}
		if len(batches) != 1 {
			t.Errorf("%s: the events of one request are of the batches %v", c.path, batches)
		}
	}
}

func summary(e map[string]any) string {
	path := fmt.Sprint(e["path"])
	switch err, _ := e["error"].(map[string]any); {
	case err != nil:
		path += " error " + fmt.Sprint(err["message"])
	case e["result"] == nil:
		path += " undefined"
	default:
		text, _ := json.Marshal(e["result"])
		path += " " + string(text)
	}
	if e["batch_decision_id"] != nil {
		path += " batch"
	}
	return path
}
