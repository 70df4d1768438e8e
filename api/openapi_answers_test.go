package api_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/events"
	"defenseclaw/api/gate"
	"defenseclaw/engine"
	"defenseclaw/policies"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

const (
	commandRoute = "/api/v1/observability/cli"
	clientHeader = "X-DefenseClaw-Client: test"
	listed       = `{"target_type":"skill","target_name":"n","reason":"r","source_path":"/a"}`
	evaluation   = `{"subject":{"type":"user","id":"u"},"action":{"name":"a"},"resource":{"type":"t","id":"1"},"context":{"a":1}}`
)

// goodRequests has one of each operation; they are sent in this order.
var goodRequests = []question{
	{"GET", "/health", "", nil},
	{"GET", "/health/ready", "", nil},
	{"GET", "/metrics", "", nil},
	{"POST", "/policy/reload", "{}", []string{clientHeader}},
	{"GET", "/policy/status", "", nil},
	{"GET", "/policy/review", "", nil},
	{"POST", "/console/codes", "", clientHeaders},
	{"GET", "/policy/diff", "", nil},
	{"GET", "/policy/packages", "", nil},
	{"GET", "/policy/packages?limit=1", "", nil},
	{"GET", "/policy/search?q=package", "", nil},
	{"GET", "/policy/coverage", "", nil},
	{"GET", "/policy/coverage?file=p.rego", "", nil},
	{"GET", "/policy/fleet", "", nil},
	{"GET", "/policy/fleet?q=a&state=refused&revision=sha256:01&after=a&limit=7", "", nil},
	{"GET", "/policy/files/p.rego", "", nil},
	{"POST", "/policy/replay", "", []string{clientHeader}},
	{"GET", "/policy/history", "", nil},
	{"GET", "/policy/history?limit=1&before=2126-01-02T03:04:05Z", "", nil},
	{"GET", "/policy/blame?path=data.p.x", "", nil},
	{"GET", "/policy/history/1", "", nil},
	{"GET", "/policy/try?q=x", "", nil},
	{"POST", "/policy/try", `{"path":"p/x","input":{"x":1},"explain":true,"coverage":true,"source":true,"time":"2026-01-02T03:04:05Z"}`, []string{clientHeader}},
	{"GET", "/policy/activity?step=60", "", nil},
	{"GET", "/policy/recordings", "", nil},
	{"GET", "/policy/recordings/events", "", nil},
	{"GET", "/policy/recordings/decisions?path=&outcome=defined&text=x&limit=5", "", nil},
	{"GET", "/policy/recordings/decisions/none", "", nil},
	{"GET", "/policy/recordings/decisions/none/test", "", nil},
	{"DELETE", "/policy/recordings", "", []string{clientHeader}},
	{"POST", "/policy/lists/block", listed, []string{clientHeader}},
	{"GET", "/policy/lists", "", nil},
	{"DELETE", "/policy/lists/block", listed, []string{clientHeader}},
	{"POST", "/policy/lists/import", takers[8].good, []string{clientHeader}},
	{"POST", "/enforce/allow", takers[10].good, []string{clientHeader}},
	{"GET", "/enforce/allowed", "", nil},
	{"POST", "/enforce/block", takers[9].good, []string{clientHeader}},
	{"GET", "/enforce/blocked", "", nil},
	{"DELETE", "/enforce/block", takers[9].good, []string{clientHeader}},
	{"GET", "/audit/records", "", nil},
	{"POST", "/audit/event", `{"action":"a","severity":"MEDIUM","timestamp":null}`, []string{clientHeader}},
	{"POST", "/scan/result", `{"scanner":"s","target":"t","findings":null}`, []string{clientHeader}},
	{"PATCH", "/v1/guardrail/config", `{"mode":"action"}`, []string{clientHeader}},
	{"GET", "/v1/guardrail/config", "", nil},
	{"POST", "/v1/guardrail/event", `{"evaluation_id":"e","direction":"prompt","action":"block","severity":"HIGH"}`, []string{clientHeader}},
	{"POST", commandRoute, `{"kind":"alert","alert":{"source":"s","summary":"u","details":{"a":1}}}`, []string{clientHeader}},
	{"GET", "/status", "", nil},
	{"GET", "/alerts?limit=2", "", nil},
	{"GET", "/audit/verify", "", nil},
	{"POST", "/policy/evaluate", takers[0].good, nil},
	{"POST", "/policy/evaluate/firewall", takers[1].good, nil},
	{"POST", "/policy/evaluate/sandbox", takers[2].good, nil},
	{"POST", "/policy/evaluate/audit", takers[3].good, nil},
	{"POST", "/policy/evaluate/skill-actions", takers[4].good, nil},
	{"POST", "/v1/guardrail/evaluate", takers[5].good, nil},
	{"POST", "/v1/guardrail/judge", takers[6].good, nil},
	{"GET", "/v1/data", "", nil},
	{"POST", "/v1/data", `{"input":{"x":1}}`, nil},
	{"GET", "/v1/data/p/x", "", nil},
	{"POST", "/v1/data/p/x", `{"input":{"x":1}}`, nil},
	{"POST", "/v0/data", `{"x":1}`, nil},
	{"POST", "/v0/data/p/x", `{"x":1}`, nil},
	{"POST", "/", `{"x":1}`, nil},
	{"GET", "/v1/query?q=x:=1", "", nil},
	{"POST", "/v1/query", `{"query":"x := input.x","input":{"x":1}}`, nil},
	{"POST", "/v1/compile", `{"query":"input.x == 1"}`, nil},
	{"GET", "/v1/compile/filters/include", "", []string{"Accept: application/vnd.opa.ucast.prisma+json"}},
	{"POST", "/v1/compile/filters/include", `{"unknowns":["input.rows"]}`, []string{"Accept: application/vnd.opa.sql.mysql+json"}},
	{"GET", "/v1/policies", "", nil},
	{"GET", "/v1/status", "", nil},
	{"GET", "/v1/config", "", nil},
	{"GET", "/v1/policies/p.rego", "", nil},
	{"POST", "/v1/batch/data", `{"inputs":{"a":{"x":1}}}`, nil},
	{"POST", "/v1/batch/data/p/x", `{"inputs":{"a":{"x":1},"b":{}},"common_input":{"y":1}}`, nil},
	{"POST", "/access/v1/evaluation", evaluation, nil},
	{"POST", "/access/v1/evaluations", `{"subject":{"type":"user","id":"u"},"action":{"name":"a"},"evaluations":[{"resource":{"type":"t","id":"1"}},{}]}`, nil},
	{"GET", "/.well-known/authzen-configuration", "", []string{"X-Request-ID: mine"}},
	{"POST", "/policy/rollback", `{"to":"1","skip":true,"reason":"r"}`, clientHeaders},
	{"POST", "/policy/hold", `{"reason":"r"}`, clientHeaders},
	{"POST", "/policy/resume", `{"reason":"r"}`, clientHeaders},
	{"POST", "/policy/confirm", `{"reason":"r"}`, clientHeaders},
	{"POST", "/policy/approve", `{"digest":"sha256:0123456789"}`, clientHeaders},
	{"POST", "/policy/reject", `{"digest":"sha256:0123456789"}`, clientHeaders},
}

// TestEveryAnswerIsAsOpenAPISays asks real servers until they have given every answer that the document has.
func TestEveryAnswerIsAsOpenAPISays(t *testing.T) {
	o := readOpenAPI(t, true)
	for _, kind := range []string{"text/event-stream", "application/x-ndjson"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.FileBodyDecoder)
		t.Cleanup(func() { openapi3filter.UnregisterBodyDecoder(kind) })
	}
	for name, look := range map[string]func(*testing.T, *openAPI){
		"good requests": answersToGoodRequests, "bad requests": answersToBadRequests, "OPA": answersOfOPA, "reloads": answersToReloads, "diffs": answersToDiffs, "tries": answersToTries, "files": answersToFiles, "replays": answersToReplays, "reviews": answersToReviews, "orders": answersToOrders,
		"recordings": answersToRecordings, "no domains": answersWithoutDomains,
		"challenge": answersToTheChallenge, "events": answersOfEvents, "nothing serves": answersWhileNothingServes, "gates": answersOfGates, "system.authz": answersOfThePolicy, "rate": answersToFloods,
	} {
		t.Run(name, func(t *testing.T) { look(t, o) })
	}
	for route, statuses := range o.operations() {
		for _, status := range statuses {
			if !o.seen[route+" "+status] {
				t.Errorf("openapi.yaml says that %s may answer %s, which no request here made it do", route, status)
			}
		}
	}
}

const filtersPolicy = `package filters

# METADATA
# scope: document
# compile:
#   unknowns: [input.rows]
#   mask_rule: masks
include if input.rows.x == input.x

masks.rows.secret := {"replace": {"value": "*"}}

misspelt if input.row.x == 1

odd if input.rows.x in input.rows.y`

// openAPIPolicies are everything that the requests need.
func openAPIPolicies() map[string]string {
	files := map[string]string{
		"main.rego": "package system\nmain := {\"x\": input.x}", "authzen.rego": "package authzen\nallow := {\"decision\": true, \"context\": {\"a\": 1}}",
		"labels.rego":  "# METADATA\n# labels:\n#   team: core\npackage labels\nx := 1 if input.on",
		"fails.rego":   "package fails\ny := n if { some n in [0.5, 1]; n > input.zero - 1.2 }\nz if input.rows.x > y",
		"filters.rego": filtersPolicy,
	}
	for name, text := range domains {
		files[name] = text
	}
	files["p.rego"] = "package p\nx := input.x"
	return files
}

func answersToGoodRequests(t *testing.T, o *openAPI) {
	s := fullOf(t, openAPIPolicies())
	for _, q := range goodRequests {
		status := http.StatusOK
		if q.target == commandRoute {
			status = http.StatusNoContent
		}
		if q.target == "/policy/confirm" { // nothing waits
			status = http.StatusConflict
		}
		if q.target == "/policy/review" { // nothing is
			status = http.StatusServiceUnavailable
		}
		if strings.HasPrefix(q.target, "/policy/recordings/decisions/none") { // there is none
			status = http.StatusNotFound
		}
		if q.target == "/policy/approve" || q.target == "/policy/reject" { // nothing is held
			status = http.StatusNotFound
		}
		o.ask(s, q, status)
	}
	for _, header := range []string{"X-DefenseClaw-Token: " + token, "X-DC-Auth: Bearer " + token} {
		o.ask(s, question{"GET", "/policy/status", "", []string{"Authorization: ", header}}, http.StatusOK)
	}
	for _, target := range []string{"/health?bundles", "/health?bundle=true&plugins=true&exclude-plugin=x", "/audit/records?action=policy-reload&since=2026-01-01&until=2036-01-01&after=0&before=9999&limit=1"} {
		o.ask(s, question{"GET", target, "", nil}, http.StatusOK)
	}
	_, answer, _ := s.request("GET", "/audit/verify", "")
	var report struct{ Head struct{ Hash string } }
	if err := json.Unmarshal([]byte(answer), &report); err != nil || report.Head.Hash == "" {
		t.Fatalf("%s: %v", answer, err)
	}
	o.ask(s, question{"GET", "/audit/verify?head=2:" + report.Head.Hash + "&head=1:00", "", nil}, http.StatusOK)
	o.ask(s, question{"POST", "/v1/guardrail/evaluate", `{"evaluation_id":"e","direction":"prompt","mode":"observe","content":"c","cisco_result":null}`, nil}, http.StatusOK)
	o.ask(s, question{"POST", "/policy/evaluate", `{"input":{"target_type":"skill","target_name":"n"}}`, nil}, http.StatusOK) // fails closed
	o.ask(s, question{"POST", "/access/v1/evaluations", evaluation, nil}, http.StatusOK)
	o.ask(s, question{"POST", "/policy/reload", "", []string{clientHeader}}, http.StatusOK)
}

func answersToTheChallenge(t *testing.T, o *openAPI) {
	s := full(t)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, _ := gate.NewChallenge(conn.LocalAddr(), conn.RemoteAddr())
	q := question{"GET", "/health/proof?nonce=" + hex.EncodeToString(c.Nonce[:]) + "&proof=" + c.OfCaller(gate.DigestOf(token)), "", nil}
	o.ask(s, q, http.StatusUnauthorized) // over another connection
	o.ask(s, question{"GET", "/health/proof?nonce=1", "", nil}, http.StatusBadRequest, true)
	r, err := http.NewRequestWithContext(t.Context(), q.method, "http://"+s.addr+q.target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%d %s %v", answer.StatusCode, text, err)
	}
	o.compare(t, q, answer.StatusCode, answer.Header, string(text), false)
}

func answersToBadRequests(t *testing.T, o *openAPI) {
	s := fullOf(t, openAPIPolicies())
	for _, tt := range takers {
		path := tt.path
		if path == "" {
			path = tt.route
		}
		o.ask(s, question{cmp.Or(tt.method, "POST"), path, `{"cut":`, tt.headers}, http.StatusBadRequest, true)
		for _, field := range tt.required {
			o.ask(s, question{"POST", path, without(t, tt.good, field, "null"), tt.headers}, http.StatusBadRequest, true)
		}
	}
	o.ask(s, question{"PATCH", "/v1/guardrail/config", `{"mode":"action","port":1}`, []string{clientHeader}}, http.StatusBadRequest, true)
	o.ask(s, question{"PATCH", "/v1/guardrail/config", `{}`, []string{clientHeader}}, http.StatusBadRequest, true)
	o.ask(s, question{"PATCH", "/v1/guardrail/config", `{"connector":"claw"}`, []string{clientHeader}}, http.StatusConflict)
	o.ask(s, question{"PATCH", "/v1/guardrail/config", `{"block_message":"m"}`, []string{clientHeader}}, http.StatusAccepted)
	o.ask(s, question{"POST", "/", `{"cut":`, nil}, http.StatusBadRequest, true)
	o.ask(s, question{"GET", "/policy/blame?path=p/none", "", nil}, http.StatusNotFound)
	o.ask(s, question{"GET", "/policy/blame?path=p.rego:0", "", nil}, http.StatusBadRequest)
	o.ask(s, question{"GET", "/policy/activity?step=7", "", nil}, http.StatusBadRequest, true)
	o.ask(s, question{"GET", "/policy/history?limit=0", "", nil}, http.StatusBadRequest, true)
	o.ask(s, question{"GET", "/policy/history/9", "", nil}, http.StatusNotFound)
	o.ask(s, question{"GET", "/policy/history/" + alike, "", nil}, http.StatusConflict)
	o.ask(s, question{"POST", "/policy/lists/grey", listed, []string{clientHeader}}, http.StatusBadRequest, true)
	o.ask(s, question{"DELETE", "/policy/lists/allow", `{"target_type":"skill"}`, []string{clientHeader}}, http.StatusBadRequest, true)
	o.ask(s, question{"DELETE", "/enforce/block", `{"target_type":"skill"}`, []string{clientHeader}}, http.StatusBadRequest, true)
	o.ask(s, question{"DELETE", "/policy/lists/allow", listed, []string{clientHeader}}, http.StatusNotFound)
	o.ask(s, question{"POST", "/policy/reload", "", nil}, http.StatusForbidden, true)
	o.ask(s, question{"GET", "/audit/records?limit=1001", "", nil}, http.StatusBadRequest, true)
	o.ask(s, question{"GET", "/audit/records?colour=red", "", nil}, http.StatusBadRequest) // OpenAPI cannot forbid a parameter
	o.ask(s, question{"GET", "/policy/fleet?state=perhaps", "", nil}, http.StatusBadRequest, true)
	o.ask(s, question{"GET", "/alerts?limit=0", "", nil}, http.StatusBadRequest, true)
	o.ask(s, question{"GET", "/audit/verify?head=x", "", nil}, http.StatusBadRequest, true)
	o.ask(s, question{"POST", "/policy/evaluate", `{"domain":"other","input":{"target_type":"a","target_name":"b"}}`, nil}, http.StatusBadRequest, true)
	o.ask(s, question{"POST", "/v1/guardrail/evaluate", `{"evaluation_id":"e","direction":"sideways","mode":"action"}`, nil}, http.StatusBadRequest, true)
	o.ask(s, question{"POST", "/access/v1/evaluation", `{"subject":{"type":"user"},"action":{"name":"a"},"resource":{"type":"t","id":"1"}}`, nil}, http.StatusBadRequest, true)
	o.ask(s, question{"POST", "/access/v1/evaluations", evaluation[:len(evaluation)-1] + `,"options":{"evaluations_semantic":"guess"}}`, nil}, http.StatusBadRequest, true)
	o.ask(s, question{"POST", "/access/v1/evaluations", `{"evaluations":[]}`, nil}, http.StatusBadRequest) // which is that of one, and says less
}

// answersOfOPA are those with parameters, and those of decisions that cannot be made.
func answersOfOPA(t *testing.T, o *openAPI) {
	s := fullOf(t, openAPIPolicies())
	const all = "?pretty&metrics=true&instrument&provenance&explain=full&rule_labels&strict-builtin-errors=false"
	for _, q := range []question{
		{"GET", "/v1/data/labels/x" + all + "&input=%7B%22on%22:true%7D", "", nil},
		{"POST", "/v1/data/labels/x" + all, `{"input":{"on":true}}`, nil},
		{"POST", "/v1/data/labels/x?explain=full&metrics", `{"input":{"on":true}}`, nil},
		{"POST", "/v1/data/labels/x?rule_labels=true&explain=notes", `{"input":{"on":true}}`, nil},
		{"POST", "/v1/data/nothing", ``, nil},
		{"POST", "/v1/data/p/x", `{"other":1}`, nil}, // a warning
		{"POST", "/v1/data/p/x", "input:\n  x: 1\n", []string{"Content-Type: application/yaml"}},
		{"POST", "/v1/data/p/x", gzipped(`{"input":{"x":1}}`), []string{"Content-Encoding: gzip"}},
		{"POST", "/v0/data/p/x?pretty=true", `{"x":1}`, nil},
		{"GET", "/v1/query" + all + "&q=data.labels.x", "", nil},
		{"GET", "/v1/query?q=false", "", nil},
		{"POST", "/v1/query?explain=debug&metrics", `{"query":"data.odd[k] = v"}`, nil},
		{"POST", "/v1/compile?metrics&explain=fails&pretty", `{"query":"data.labels.x == 1","unknowns":["input"],"options":{"disableInlining":["data.p"]}}`, nil},
		{"POST", "/v1/compile", `{"query":"false"}`, nil},
		{"POST", "/v1/compile", `{"query":"data.labels.x == 1","options":{"disableInlining":["data.labels"]}}`, nil}, // with support
		{"POST", "/v1/compile/filters/include?pretty&metrics&instrument", `{"input":{"x":1},"options":{"targetDialects":["sql+sqlite","sql+postgresql","sql+mysql","sql+sqlserver","ucast+all"],"targetSQLTableMappings":{"rows":{"x":"y"}}}}`, []string{"Accept: application/vnd.opa.multitarget+json"}},
		{"POST", "/v1/compile/filters/include", `{"input":{"x":1},"unknowns":null}`, []string{"Accept: application/vnd.opa.ucast.all+json"}},
		{"POST", "/v1/compile/filters/misspelt", `{"unknowns":["input.rows"]}`, []string{"Accept: application/vnd.opa.sql.sqlserver+json"}}, // a hint
		{"POST", "/v1/compile/filters/include", gzipped(`{}`), []string{"Accept: application/vnd.opa.ucast.linq+json", "Content-Encoding: gzip"}},
		{"GET", "/v1/policies?pretty=true", "", nil},
		{"POST", "/v1/batch/data/p/x?provenance&metrics&instrument&pretty", `{"inputs":{"a":{"x":1}}}`, nil},
	} {
		o.ask(s, q, http.StatusOK)
	}
	for _, q := range []question{
		{"POST", "/v1/data/fails", `{"input":{"zero":0}}`, nil}, {"GET", "/v1/data/fails/y?input=%7B%22zero%22:0%7D", "", nil}, {"POST", "/v0/data/fails/y", `{"zero":0}`, nil},
		{"POST", "/v1/query", `{"query":"data.fails.y with input.zero as 0"}`, nil}, {"GET", "/v1/query?q=data.fails.y+with+input.zero+as+0", "", nil}, {"POST", "/v1/batch/data/fails/y", `{"inputs":{"a":{"zero":0}}}`, nil},
	} {
		o.ask(s, q, http.StatusInternalServerError)
	}
	o.ask(s, question{"POST", "/v1/batch/data/fails/y", `{"inputs":{"a":{"zero":0},"b":{"zero":2}}}`, nil}, http.StatusMultiStatus)
	o.ask(s, question{"POST", "/v0/data/fails/none", `{}`, nil}, http.StatusNotFound)
	o.ask(s, question{"POST", "/", `{}`, nil}, http.StatusNotFound)
	o.ask(s, question{"GET", "/v1/policies/none.rego", "", nil}, http.StatusNotFound)
	o.ask(start(t, map[string]string{"p.rego": "package p"}, nil), question{"GET", "/v1/status", "", nil}, http.StatusInternalServerError)
	o.ask(s, question{"GET", "/v1/query", "", nil}, http.StatusBadRequest, true)
	const sql = "Accept: application/vnd.opa.sql.sqlite+json"
	o.ask(s, question{"GET", "/v1/compile/filters/include", "", []string{"Accept: text/html"}}, http.StatusBadRequest, true)
	o.ask(s, question{"POST", "/v1/compile/filters/odd", `{"unknowns":["input.rows"]}`, []string{sql}}, http.StatusBadRequest) // SQL cannot say it
	o.ask(s, question{"POST", "/v1/compile/filters/include", `{"input":{"x":1},"options":{"targetSQLTableMappings":{"rows":{"x":7}}}}`, []string{sql}}, http.StatusBadRequest)
	o.ask(s, question{"POST", "/v1/compile/fails/z", `{"unknowns":["input.rows"],"input":{"zero":0}}`, []string{sql}}, http.StatusInternalServerError)
	for _, target := range []string{"/v1/data?input=%7B", "/v1/data/p?input=%7B"} {
		o.ask(s, question{"GET", target, "", nil}, http.StatusBadRequest) // the validator takes any text for JSON here
	}
	for _, q := range []question{{"GET", "/v1/query?q=x", "", nil}, {"POST", "/v1/query", `{"query":"x >"}`, nil}, {"POST", "/v1/compile", `{"query":"x"}`, nil}} {
		o.ask(s, q, http.StatusBadRequest) // no schema describes Rego
	}
}

func answersToReloads(t *testing.T, o *openAPI) {
	reload := question{"POST", "/policy/reload", "", []string{clientHeader}}
	const typo = "package p\nx := contains_(1)\nx := := 2"
	now := time.Now()
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, func(c *api.Config, _ *engine.Config) {
		c.Watch = func() api.Watch {
			return api.Watch{Enabled: true, Mode: "notify", State: "watching", LastScan: &now, NextPoll: &now}
		}
		c.LastGood = func() *api.LastGood { return &api.LastGood{SavedAt: &now} }
	})
	o.ask(s, question{"GET", "/policy/status", "", nil}, http.StatusOK)
	s.files = policy(map[string]string{"p.rego": typo})
	o.ask(s, reload, http.StatusInternalServerError)
	o.ask(s, question{"GET", "/policy/status", "", nil}, http.StatusOK)

	s = start(t, map[string]string{"p.rego": "package p\nx := 1"}, func(_ *api.Config, e *engine.Config) {
		e.Announcements = []engine.Announcement{{Name: api.AnnounceAudit, Run: func(context.Context, engine.Report) error { return errors.New("disk full") }}}
	})
	s.files = policy(map[string]string{"p.rego": "package p\nx := 2"})
	o.ask(s, reload, http.StatusInternalServerError)

	s = validateOnly(t, map[string]string{"p.rego": "package p\nx := 1"})
	o.ask(s, reload, http.StatusOK)
	o.ask(s, question{"GET", "/policy/status", "", nil}, http.StatusOK)
	s.files = policy(map[string]string{"p.rego": typo})
	o.ask(s, reload, http.StatusBadRequest)
	s.files = policy(map[string]string{"p.rego": "package p", "data.json": "[]"})
	o.ask(s, reload, http.StatusInternalServerError)
}

// answersOfEvents reads a stream's first event and leaves.
func answersOfEvents(t *testing.T, o *openAPI) {
	hub, err := events.New(events.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, domains, func(c *api.Config, _ *engine.Config) { c.Events = hub })
	hub.Publish(events.Event{Subsystem: "policy", Transition: "reloaded", Details: map[string]any{"generation": 1}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	q := question{"GET", "/policy/events?last_event_id=x", "", []string{"Last-Event-ID: of-another-run"}}
	r, err := http.NewRequestWithContext(ctx, q.method, "http://"+s.addr+q.target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Last-Event-ID", "of-another-run")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var text strings.Builder
	for part := make([]byte, 4096); !strings.Contains(text.String(), "lifecycle\n") || !strings.HasSuffix(text.String(), "\n\n"); {
		n, err := response.Body.Read(part)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(part[:n])
	}
	o.compare(t, q, response.StatusCode, response.Header, text.String(), false)
	_, data, _ := strings.Cut(text.String(), "event: lifecycle\ndata: ")
	data, _, _ = strings.Cut(data, "\n")
	var event any
	if err := json.Unmarshal([]byte(data), &event); err != nil {
		t.Fatal(err)
	}
	if err := o.doc.Components.Schemas["LifecycleEvent"].Value.VisitJSON(event, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("%s: %v", data, err)
	}
}

// answersWhileNothingServes are of a sidecar whose policy is broken and that has no other part.
func answersWhileNothingServes(t *testing.T, o *openAPI) {
	s := start(t, map[string]string{"p.rego": "package p\nx :="}, func(c *api.Config, _ *engine.Config) { c.PolicyDir, c.BundleStatus = "", bundlesOf })
	unavailable := 0
	for _, q := range append([]question{{"GET", "/policy/events", "", nil}}, goodRequests...) {
		r, err := http.NewRequest(q.method, "http://x"+q.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		status := http.StatusOK
		if route, _ := o.route(t, r); route.Operation.Responses.Status(http.StatusServiceUnavailable) != nil {
			status = http.StatusServiceUnavailable
			unavailable++
		}
		o.ask(s, q, status)
	}
	if unavailable < 25 {
		t.Errorf("by the document only %d routes need a policy or another part", unavailable)
	}
	o.ask(s, question{"GET", "/health?bundles=true", "", nil}, http.StatusInternalServerError)
}

// answersOfGates sends each good request once past every gate that the document says it has.
func answersOfGates(t *testing.T, o *openAPI) {
	s := full(t)
	big := `{"input":"` + strings.Repeat("a", 1<<20) + `"}`
	for _, q := range append([]question{{"GET", "/policy/events", "", nil}}, goodRequests...) {
		if strings.HasPrefix(q.target, "/health") {
			continue
		}
		o.ask(s, question{q.method, q.target, q.body, append([]string{"Authorization: "}, q.headers...)}, http.StatusUnauthorized, true)
		o.ask(s, question{q.method, q.target, q.body, append([]string{"Origin: http://evil.example"}, q.headers...)}, http.StatusForbidden)
		if q.body == "" {
			continue
		}
		r, err := http.NewRequest(q.method, "http://x"+q.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		route, _ := o.route(t, r)
		if responses := route.Operation.Responses; responses.Status(http.StatusUnsupportedMediaType) != nil {
			o.ask(s, question{q.method, q.target, q.body, append([]string{"Content-Type: text/plain"}, q.headers...)}, http.StatusUnsupportedMediaType, true)
		}
		if q.target != "/policy/reload" { // whose body is not read
			status, answer, h := s.request(q.method, q.target, big, q.headers...)
			if status != http.StatusRequestEntityTooLarge {
				t.Errorf("%s %s: %d for a body of more than 1 MiB", q.method, q.target, status)
			}
			o.compare(t, q, status, h, answer, false)
		}
	}
}

// answersOfThePolicy are the refusals of system.authz, and its failures.
func answersOfThePolicy(t *testing.T, o *openAPI) {
	for status, authz := range map[int]string{
		http.StatusUnauthorized:        "package system.authz\nallow := {\"allowed\": false, \"reason\": \"not you\"}",
		http.StatusInternalServerError: "package system.authz\nallow if input.path == [\"health\"]",
	} {
		s := fullOf(t, map[string]string{"authz.rego": authz, "p.rego": "package p\nx := 1"})
		for _, q := range append([]question{{"GET", "/policy/events", "", nil}}, goodRequests...) {
			if !strings.HasPrefix(q.target, "/health") {
				o.ask(s, q, status)
			}
		}
	}
}

// answersToFloods come from an address beyond this machine that has used up its share.
func answersToFloods(t *testing.T, o *openAPI) {
	synctest.Test(t, func(t *testing.T) { // so that no second passes, which would give it more
		s, err := api.New(api.Config{Source: func() (fs.FS, error) { return policies.FS(), nil }, Token: token, BindHost: "0.0.0.0", RequestsPerSecond: 1})
		if err != nil {
			t.Fatal(err)
		}
		send := func(q question) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), q.method, "http://192.0.2.1"+q.target, strings.NewReader(q.body))
			r.RemoteAddr = "203.0.113.7:1000"
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			return w
		}
		for range 2 {
			send(question{"GET", "/policy/status", "", nil})
		}
		for _, q := range append([]question{{"GET", "/policy/events", "", nil}}, goodRequests...) {
			if strings.HasPrefix(q.target, "/health") {
				continue
			}
			w := send(q)
			if w.Code != http.StatusTooManyRequests {
				t.Errorf("%s %s: %d", q.method, q.target, w.Code)
			}
			o.compare(t, q, w.Code, w.Header(), w.Body.String(), false)
		}
	})
}

// validateOnly is a sidecar without an engine.
func validateOnly(t *testing.T, files map[string]string) *sidecar {
	t.Helper()
	s := &sidecar{t: t, files: policy(files)}
	server, err := api.New(api.Config{PolicyDir: "pol", Token: token, BindHost: "127.0.0.1", Source: func() (fs.FS, error) { return s.files, nil }})
	if err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)
	s.addr = listening.Listener.Addr().String()
	return s
}
