package api_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/bundlestatus"
	"defenseclaw/api/console"
	"defenseclaw/api/events"
	"defenseclaw/api/gate"
	"defenseclaw/api/judge"
	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

// full is a sidecar's API with all its parts.
func full(t testing.TB) *sidecar {
	t.Helper()
	files := maps.Clone(domains)
	files["p.rego"] = "package p\nx := input.x"
	files["filters.rego"] = "package filters\ninclude if input.rows.x == input.x"
	return fullOf(t, files)
}

// fullOf is the same with these files.
func fullOf(t testing.TB, files map[string]string) *sidecar {
	t.Helper()
	log, err := audit.New(audit.Config{Path: filepath.Join(t.TempDir(), "audit.db")})
	if err != nil {
		t.Fatal(err)
	}
	hub, err := events.New(events.Config{})
	if err != nil {
		t.Fatal(err)
	}
	// Nothing listens at the discard port: whatever reaches the judge fails open, quickly.
	j, err := judge.New(judge.Config{BaseURL: "http://127.0.0.1:9/v1", Model: "m", MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	recording := recordingOf(t)
	done := make(chan error, 3)
	go func() { done <- recording.Run(ctx) }()
	go func() { done <- log.Run(ctx) }()
	go func() { done <- hub.Run(ctx) }()
	t.Cleanup(func() { // after the server's own end
		cancel()
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	return start(t, files, func(c *api.Config, e *engine.Config) {
		c.Audit, c.Events, c.Judge, c.Past, c.Recorder = log, hub, j, past(t), recording
		governed(t, c, e)
		replaying(c, e)
		c.Guardrail = func() api.GuardrailConfig { return guardrailConfig }
		c.ChangeGuardrail = changeGuardrail
		c.Console = consoleOf(t)
		c.Fleet = fleetOf
		c.BundleStatus, c.OPAConfig = bundlesOf, func() map[string]any { return map[string]any{"labels": map[string]any{"id": "x"}} }
	})
}

// bundlesOf has two bundles, and a policy in one of them that is wrong.
func bundlesOf() bundlestatus.Update {
	return bundlestatus.Update{
		Labels: map[string]string{"id": "x"}, Plugins: map[string]bundlestatus.Plugin{"bundle": {State: bundlestatus.StateNotReady}},
		Bundles: map[string]bundlestatus.Bundle{
			"a": {Name: "a", ActiveRevision: "1", LastRequest: time.Now()},
			"b": {
				Name: "b", Type: "snapshot", Size: 7, Code: bundlestatus.ErrorCode, Message: "m", HTTPCode: 404,
				Errors: []bundlestatus.Error{{Code: "c", Message: "m", Location: &bundlestatus.Location{File: "p.rego", Row: 1, Col: 1}}},
			},
		},
	}
}

func consoleOf(t testing.TB) api.Console {
	t.Helper()
	pages, err := console.New(console.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// alike are two policies whose revisions begin with the same four digits.
const alike = "4285"

// past is a history of these two.
func past(t testing.TB) *api.Past {
	t.Helper()
	store, err := history.New(history.Config{Dir: t.TempDir(), Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{246, 478} {
		g, err := engine.Load(t.Context(), policy(map[string]string{"p.rego": fmt.Sprintf("package p\nx := %d", n)}), nil)
		if err == nil {
			_, err = store.SaveServed(t.Context(), history.Served{Generation: g, Trigger: "watch", Actor: "uid:1000 (ann)"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return &api.Past{Store: store}
}

var guardrailConfig = api.GuardrailConfig{Mode: "observe", ScannerMode: "both", HILTMinSeverity: "HIGH"}

// changeGuardrail takes every change but that of the connector; one of the message alone waits for a restart.
func changeGuardrail(_ context.Context, change api.GuardrailChange) (api.GuardrailConfig, bool, error) {
	if change.Values["guardrail.connector"] != nil {
		return api.GuardrailConfig{}, false, &api.GuardrailConflict{Message: "not now", RestartRequired: []string{"guardrail.connector"}}
	}
	return guardrailConfig, change.Values["guardrail.block_message"] == nil || len(change.Values) > 1, nil
}

// taker is a route that takes a body.
type taker struct {
	route, path string
	good        string            // a body that it takes
	required    []string          // fields of good that may not be missing
	wrong       map[string]string // field → a value of a wrong type
	method      string            // empty: POST
	status      int               // of the answer to good; 0: 200
	opa         bool              // it answers errors as OPA does
	headers     []string
}

var takers = []taker{
	{route: "/policy/evaluate", good: `{"domain":"admission","input":{"target_type":"skill","target_name":"n","scan_result":{"verdict":"clean"}}}`,
		required: []string{"input"}, wrong: map[string]string{"domain": `7`, "input": `[]`}},
	{route: "/policy/evaluate/firewall", good: `{"destination":"d","port":1,"protocol":"tcp","target_type":"skill"}`,
		required: []string{"destination"}, wrong: map[string]string{"destination": `{}`, "port": `"x"`, "protocol": `1`, "target_type": `[]`}},
	{route: "/policy/evaluate/sandbox", good: `{"skill_name":"s","requested_endpoints":["a"],"requested_permissions":["b"]}`,
		required: []string{"skill_name"}, wrong: map[string]string{"skill_name": `1`, "requested_endpoints": `"a"`, "requested_permissions": `{}`}},
	{route: "/policy/evaluate/audit", good: `{"event_type":"e","severity":"LOW","age_days":1,"export_targets":[]}`,
		wrong: map[string]string{"event_type": `1`, "severity": `[]`, "age_days": `"x"`, "export_targets": `{}`}},
	{route: "/policy/evaluate/skill-actions", good: `{"severity":"HIGH","target_type":"skill"}`,
		required: []string{"severity"}, wrong: map[string]string{"severity": `1`, "target_type": `[]`}},
	{route: "/v1/guardrail/evaluate", good: `{"evaluation_id":"e","direction":"prompt","mode":"action","local_result":{"action":"alert","severity":"LOW"}}`,
		required: []string{"evaluation_id", "direction", "mode"},
		wrong:    map[string]string{"evaluation_id": `1`, "direction": `"up"`, "mode": `"x"`, "local_result": `[]`, "content_length": `-1`, "hilt": `"x"`, "content": `7`}},
	{route: "/v1/guardrail/judge", good: `{"direction":"prompt","content":"short"}`,
		required: []string{"direction", "content"}, wrong: map[string]string{"direction": `"up"`, "content": `[]`, "kind": `"poetry"`}},
	{route: "/policy/lists/{list}", path: "/policy/lists/block", good: `{"target_type":"skill","target_name":"n","reason":"r"}`,
		required: []string{"target_type", "target_name"}, wrong: map[string]string{"target_type": `1`, "target_name": `"a\u0000b"`, "reason": `{}`, "source_path": `1`},
		headers: []string{gate.HeaderClient + ": test"}},
	{route: "/policy/lists/import", good: `{"source":"/a/audit.db","entries":[{"list":"block","target_type":"skill","target_name":"n"}],"left_out":[{"list":"allow","target":"skill/m","why":"w"}]}`,
		required: []string{"source"}, wrong: map[string]string{"source": `1`, "entries": `[{"list":"grey"}]`, "left_out": `[{"list":"grey"}]`},
		headers: []string{gate.HeaderClient + ": test"}},
	{route: "/enforce/block", good: `{"target_type":"skill","target_name":"n","reason":"r"}`,
		required: []string{"target_type", "target_name"}, wrong: map[string]string{"target_type": `1`, "target_name": `"a\u0000b"`, "reason": `{}`},
		headers: []string{gate.HeaderClient + ": test"}},
	{route: "/enforce/allow", good: `{"target_type":"skill","target_name":"n","reason":"r"}`,
		required: []string{"target_type", "target_name"}, wrong: map[string]string{"target_type": `1`, "target_name": `"a\u0000b"`, "reason": `{}`},
		headers: []string{gate.HeaderClient + ": test"}},
	{route: "/access/v1/evaluation", good: `{"subject":{"type":"user","id":"u"},"action":{"name":"a"},"resource":{"type":"t","id":"1"},"context":{}}`,
		required: []string{"subject", "action", "resource"}, wrong: map[string]string{"subject": `7`, "action": `"a"`, "resource": `[]`, "context": `true`}},
	{route: "/access/v1/evaluations", good: `{"subject":{"type":"user","id":"u"},"action":{"name":"a"},"resource":{"type":"t","id":"1"},"context":{},"evaluations":[{}],"options":{}}`,
		wrong: map[string]string{"subject": `7`, "context": `"c"`, "evaluations": `{}`, "options": `[]`}},
	{route: "/audit/event", good: `{"action":"a","target":"t","details":"d","severity":"HIGH"}`, headers: clientHeaders,
		required: []string{"action"}, wrong: map[string]string{"action": `1`, "severity": `"loud"`, "details": `{}`, "timestamp": `7`}},
	{route: "/scan/result", good: `{"scanner":"s","target":"t","findings":[{"severity":"LOW"}],"duration":1}`, headers: clientHeaders,
		required: []string{"scanner", "target"}, wrong: map[string]string{"findings": `[{"severity":"loud"}]`, "duration": `"x"`}},
	{route: "/v1/guardrail/event", good: `{"evaluation_id":"e","direction":"prompt","action":"block","severity":"HIGH","findings":["f"]}`, headers: clientHeaders,
		required: []string{"evaluation_id", "direction", "action", "severity"}, wrong: map[string]string{"severity": `"loud"`, "findings": `1`, "elapsed_ms": `"x"`}},
	{route: "/api/v1/observability/cli", good: `{"kind":"action","action":{"name":"n","target":"t","details":"d"}}`, headers: clientHeaders, status: http.StatusNoContent,
		required: []string{"kind", "action"}, wrong: map[string]string{"kind": `"other"`, "action": `"x"`}},
	{route: "/v1/guardrail/config", method: http.MethodPatch, good: `{"mode":"action","scanner_mode":"local","block_message":"m","hilt_enabled":true,"hilt_min_severity":" low "}`, headers: clientHeaders,
		wrong: map[string]string{"mode": `"Observe"`, "scanner_mode": `7`, "block_message": `{}`, "hilt_enabled": `"yes"`, "hilt_min_severity": `"loud"`, "connector": `" "`, "port": `1`}},
	{route: "/v1/data", good: `{"input":{"x":1}}`, opa: true},
	{route: "/v1/data/{path...}", path: "/v1/data/p/x", good: `{"input":{"x":1}}`, opa: true},
	{route: "/v0/data", good: `{"x":1}`, opa: true},
	{route: "/v0/data/{path...}", path: "/v0/data/p/x", good: `{"x":1}`, opa: true},
	{route: "/v1/query", good: `{"query":"x := 1"}`, opa: true},
	{route: "/v1/compile", good: `{"query":"input.x == 1"}`, opa: true, required: []string{"query"}, wrong: map[string]string{"query": `1`, "unknowns": `"input"`}},
	{route: "/v1/compile/{path...}", path: "/v1/compile/filters/include", good: `{"unknowns":["input.rows"],"input":{"x":1}}`, opa: true, wrong: map[string]string{"unknowns": `"input"`},
		headers: []string{"Accept: application/vnd.opa.sql.sqlite+json"}},
	{route: "/v1/batch/data", good: `{"inputs":{}}`, opa: true, required: []string{"inputs"}, wrong: map[string]string{"inputs": `[]`}},
	{route: "/v1/batch/data/{path...}", path: "/v1/batch/data/p/x", good: `{"inputs":{"a":{}}}`, opa: true, required: []string{"inputs"}, wrong: map[string]string{"inputs": `[]`}},
	{route: "/policy/rollback", good: `{"to":"1","skip":false,"reason":"r"}`, headers: clientHeaders,
		wrong: map[string]string{"to": `1`, "skip": `"yes"`, "confirm": `"soon"`, "reason": `{}`, "two": `"1"`}},
	{route: "/policy/hold", good: `{"reason":"r"}`, headers: clientHeaders, wrong: map[string]string{"reason": `1`, "to": `"1"`}},
	{route: "/policy/resume", good: `{"reason":"r"}`, headers: clientHeaders, wrong: map[string]string{"reason": `1`, "to": `"1"`}},
	{route: "/policy/approve", good: `{"digest":"sha256:0123456789"}`, headers: clientHeaders, status: http.StatusNotFound, required: []string{"digest"}, wrong: map[string]string{"digest": `1`, "reason": `[]`}},
	{route: "/policy/reject", good: `{"digest":"sha256:0123456789"}`, headers: clientHeaders, status: http.StatusNotFound, required: []string{"digest"}, wrong: map[string]string{"digest": `1`, "reason": `[]`}},
	{route: "/policy/try", good: `{"path":"p/x","input":{"x":1},"at":"serving","explain":true,"coverage":true,"source":true,"time":"2026-01-02T03:04:05Z"}`, headers: clientHeaders,
		required: []string{"path"}, wrong: map[string]string{"path": `7`, "at": `"../x"`, "explain": `"yes"`, "coverage": `1`, "source": `[]`, "time": `"soon"`}},
	{route: "/policy/confirm", good: `{"revision":""}`, headers: clientHeaders, status: http.StatusConflict, wrong: map[string]string{"reason": `1`, "revision": `[]`}},
}

var clientHeaders = []string{gate.HeaderClient + ": test"}

// others are routes that take no body, with what they must refuse.
var others = map[string][]string{
	"/health": nil, "/health/ready": nil, "/metrics": nil, "/policy/status": nil, "/console/codes": nil, "/policy/review": nil, "/policy/lists": nil, "/enforce/blocked": nil, "/enforce/allowed": nil, "/policy/reload": nil, "/policy/replay": nil, "/policy/events": nil,
	"/policy/blame":   {"", "?path=", "?path=none.rego:3", "?path=data%5Bx%5D", "?path=data.", "?path=p.rego:99999999999999999999"},
	"/policy/history": {"?limit=0", "?limit=1001", "?limit=x", "?limit=", "?before=yesterday", "?before=", "?before=7"}, "/policy/history/{ref}": nil, "/policy/recordings": nil, "/policy/recordings/events": nil,
	"/policy/recordings/decisions":           {"?limit=0", "?limit=501", "?limit=x", "?before=yesterday", "?before=~x", "?path=%25zz", "?path=a%22b", "?outcome=maybe", "?revision=abc", "?revision=HEAD", "?revision=../x", "?colour=red", "?text=a&text=b", "?text=" + strings.Repeat("a", 5000)},
	"/policy/recordings/decisions/{id}/test": nil,
	"/policy/recordings/decisions/{id}":      nil,
	"/audit/records":                         {"?limit=0", "?limit=x", "?limit=1e9", "?since=yesterday", "?before=-1", "?colour=red", "?action=a&action=b", "?action=" + strings.Repeat("a", 5000)},
	"/{$}":                                   nil, "/v1/policies": nil, "/v1/policies/{path...}": nil, "/v1/status": nil, "/v1/config": nil, // oracle_test.go has their answers
	"/policy/activity":                   {"?step=0", "?step=", "?step=7", "?step=-10", "?step=700", "?step=3600", "?step=1m", "?step=99999999999999999999", "?step=70"},
	"/.well-known/authzen-configuration": nil,
	"/health/proof":                      {"", "?nonce=00&proof=00", "?nonce=x&proof=x"},
	"/status":                            nil,
	"/policy/diff":                       {"?text=perhaps", "?with=all", "?with=replay,", "?with=", "?from=../other", "?to=/etc", "?from=HEAD", "?to=" + strings.Repeat("a", 5000), "?from=sha256:"},
	"/policy/packages":                   {"?limit=0", "?limit=501", "?limit=x", "?limit=-1", "?limit=" + strings.Repeat("9", 5000), "?q=" + strings.Repeat("a", 5000)},
	"/policy/coverage":                   {"?limit=0", "?limit=1001", "?missed=perhaps", "?limit=x"},
	"/policy/search":                     {"", "?q=", "?q=a%0Ab", "?q=" + strings.Repeat("a", 5000), "?q=a&limit=0", "?q=a&limit=1001", "?q=a&limit=1e2"},
	"/policy/fleet":                      {"?limit=0", "?limit=501", "?limit=x", "?limit=1e2", "?state=perhaps", "?state=serves,lost", "?state=" + strings.Repeat("a", 5000), "?q=" + strings.Repeat("a", 5000), "?revision=" + strings.Repeat("a", 201), "?after=" + strings.Repeat("a", 201)},
	"/policy/files/{path...}":            {"?of=../other", "?of=/etc", "?of=HEAD", "?of=sha256:", "?of=" + strings.Repeat("a", 5000)},
	"/alerts":                            {"?limit=0", "?limit=x", "?limit=-1"},
	"/audit/verify":                      {"?head=1", "?head=x:y", "?head=:", "?head=-1:00"},
}

func TestEveryRouteIsTriedWithBadInput(t *testing.T) {
	var tried []string
	for _, tt := range takers {
		tried = append(tried, tt.route)
	}
	for route := range others {
		tried = append(tried, route)
	}
	for _, route := range api.Routes() {
		if !slices.Contains(tried, route) {
			t.Errorf("%s has no row in the tables of bad input", route)
		}
	}
}

// hostile are bodies that are no request of anybody's, whatever the route.
func hostile() map[string]string {
	return map[string]string{
		"cut short":         `{"a":`,
		"not JSON":          `<xml/>`,
		"two values":        `{} {}`,
		"a list":            `[1,2]`,
		"a text":            `"text"`,
		"a nest":            strings.Repeat("[", 200_000),
		"a closed nest":     strings.Repeat(`{"a":`, 50_000) + `1` + strings.Repeat("}", 50_000),
		"no UTF-8":          "{\"a\":\"\xff\xfe\"",
		"a number too long": `{"a":1e` + strings.Repeat("9", 1000) + `x}`,
		"NUL":               "\x00",
	}
}

func TestBadBodiesAreRefusedAndNameWhatIsWrong(t *testing.T) {
	s := full(t)
	for _, tt := range takers {
		path := tt.path
		if path == "" {
			path = tt.route
		}
		refused := func(what, body string, statuses []int, names string) {
			t.Helper()
			status, answer, header := s.request(cmp.Or(tt.method, http.MethodPost), path, body, tt.headers...)
			var said struct{ Error, Code, Message string }
			err := json.Unmarshal([]byte(answer), &said)
			if !slices.Contains(statuses, status) || err != nil || said.Error == "" && said.Message == "" || !strings.HasPrefix(header.Get("Content-Type"), "application/json") {
				t.Errorf("%s, %s: %d %.300s", path, what, status, answer)
			}
			if !strings.Contains(answer, names) {
				t.Errorf("%s, %s: %.300s does not name %s", path, what, answer, names)
			}
		}
		if status, answer, _ := s.request(cmp.Or(tt.method, http.MethodPost), path, tt.good, tt.headers...); status != cmp.Or(tt.status, http.StatusOK) {
			t.Errorf("%s, good: %d %s", path, status, answer)
		}
		refused("oversize", `{"input":"`+strings.Repeat("a", 1<<20)+`"}`, []int{http.StatusRequestEntityTooLarge}, "")
		for what, body := range hostile() {
			if what == "a text" && strings.HasPrefix(path, "/v0/") {
				continue // a text is as good an input as any
			}
			if tt.opa && (what == "a closed nest" || what == "a list" || what == "two values") {
				continue // OPA takes a body without input for one without input, and reads no further than its end
			}
			refused(what, body, []int{http.StatusBadRequest}, "")
		}
		for _, field := range tt.required {
			refused("without "+field, without(t, tt.good, field, "null"), []int{http.StatusBadRequest}, field)
		}
		for field, value := range tt.wrong {
			refused("wrong "+field, without(t, tt.good, field, value), []int{http.StatusBadRequest}, field)
		}
	}
	for route, queries := range others {
		for _, query := range queries {
			s.expect(http.MethodGet, route+query, "", http.StatusBadRequest, `"error":"`)
		}
	}
	for _, ref := range []string{"x", "0", "99", "%00", "..%2f..%2fetc%2fpasswd", strings.Repeat("a", 5000)} {
		s.expect(http.MethodGet, "/policy/history/"+ref, "", http.StatusNotFound, `the history has no such generation`)
	}
	s.expect(http.MethodPost, "/policy/lists/grey", takers[7].good, http.StatusBadRequest, `list is \"grey\"`, gate.HeaderClient+": test")
	s.expect(http.MethodGet, "/health", "", http.StatusOK, `"guardrail":{"state":"running"`)
}

// TestHostileValuesAreRefusedOrAnsweredAtOnce in every field of every route: a number that would fill the
// memory if it were written out is refused by every route, and a NUL is text or refused.
func TestHostileValuesAreRefusedOrAnsweredAtOnce(t *testing.T) {
	s := full(t)
	for _, tt := range takers {
		path := tt.path
		if path == "" {
			path = tt.route
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(tt.good), &fields); err != nil {
			t.Fatal(err)
		}
		for field := range fields {
			status, answer, _ := s.request(cmp.Or(tt.method, http.MethodPost), path, without(t, tt.good, field, "1e999999999"), tt.headers...)
			if status != http.StatusBadRequest || !json.Valid([]byte(answer)) {
				t.Errorf("%s, a huge %s: %d %.300s", path, field, status, answer)
			}
			for what, value := range map[string]string{"NUL": `"a\u0000b"`, "many digits": strings.Repeat("9", 100_000)} {
				status, answer, _ := s.request(cmp.Or(tt.method, http.MethodPost), path, without(t, tt.good, field, value), tt.headers...)
				if status != http.StatusOK && status != http.StatusBadRequest || !json.Valid([]byte(answer)) {
					t.Errorf("%s, %s in %s: %d %.300s", path, what, field, status, answer)
				}
			}
		}
	}
	for path, body := range map[string]string{
		"/policy/evaluate":       `{"domain":"admission","input":{"target_type":"skill","target_name":"n","scan_result":{"n":1e999999999}}}`,
		"/v1/guardrail/evaluate": `{"evaluation_id":"e","direction":"prompt","mode":"action","local_result":{"n":1e999999999}}`,
		"/v1/data/p/x":           `{"input":{"x":[{"y":1e999999999}]}}`,
	} {
		s.expect(http.MethodPost, path, body, http.StatusBadRequest, `"`)
	}
}

// TestTheLastOfFieldsOfOneNameCounts as in Go's and OPA's decoders, so that all routes agree.
func TestTheLastOfFieldsOfOneNameCounts(t *testing.T) {
	s := full(t)
	s.expect(http.MethodPost, "/policy/evaluate/firewall", `{"destination":"first","port":1,"destination":"last"}`, http.StatusOK, `"action":"last"`)
	s.expect(http.MethodPost, "/v1/data/p/x", `{"input":{"x":1,"x":2},"input":{"x":3,"x":4}}`, http.StatusOK, `"result":4`)
}

func TestYAMLBodiesHaveOneDocumentAndNoAliases(t *testing.T) {
	s := full(t)
	const yaml = "Content-Type: application/yaml"
	s.expect(http.MethodPost, "/v1/data/p/x", "input: {x: 5}\n", http.StatusOK, `"result":5`, yaml)
	bomb := "s: &a " + strings.Repeat("x", 200<<10) + "\nl: [" + strings.Repeat("*a, ", 20_000) + "]\n"
	for body, names := range map[string]string{
		"input: {x: &a 1, y: *a}\n":             "the alias *a",
		"base: &a {x: 1}\ninput:\n  <<: *a\n":   "the alias *a",
		"input: {x: 1}\n---\ninput: {x: 2}\n":   "a second document",
		"input: {x: 1, 1: a, <<: {\"1\": b}}\n": "the key 1",
		bomb:                                    "the alias *a",
	} {
		for _, path := range []string{"/v1/data/p/x", "/v0/data/p/x", "/v1/batch/data/p/x"} {
			s.expect(http.MethodPost, path, body, http.StatusBadRequest, names, yaml)
		}
	}
}

// without is the body with another value for the field; null is none.
func without(t *testing.T, good, field, value string) string {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(good), &all); err != nil {
		t.Fatal(err)
	}
	all[field] = json.RawMessage(value)
	if value == "null" {
		delete(all, field)
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// FuzzBodies gives any body to every route that takes one: an answer of JSON, and never a failure of
// the server's.
func FuzzBodies(f *testing.F) {
	for i, tt := range takers {
		f.Add(i, []byte(tt.good))
	}
	for _, body := range hostile() {
		if len(body) < 10_000 {
			f.Add(0, []byte(body))
		}
	}
	s := full(f)
	f.Fuzz(func(t *testing.T, i int, body []byte) {
		s.t = t
		tt := takers[uint(i)%uint(len(takers))]
		path := tt.path
		if path == "" {
			path = tt.route
		}
		status, answer, _ := s.request(cmp.Or(tt.method, http.MethodPost), path, string(body), tt.headers...)
		if status != http.StatusNoContent && !json.Valid([]byte(answer)) || status >= http.StatusInternalServerError && !queryFailed.MatchString(answer) {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	})
}

// queryFailed is what OPA answers with 500, and so do we, of a query that is empty or cannot be evaluated.
var queryFailed = regexp.MustCompile(`"message": ?"(cannot evaluate empty query|error\(s\) occurred while evaluating query)"`)

// FuzzParseHead reads any text: what it takes is a place and a hash.
func FuzzParseHead(f *testing.F) {
	for _, seed := range []string{"1:ab", ":", "-1:00", "9223372036854775808:x", "1:", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		head, err := api.ParseHead(text)
		if err == nil && (head.Seq < 1 || head.Hash == "") {
			t.Errorf("%q is %+v", text, head)
		}
	})
}

// TestANumberOfTooManyDigitsIsRefused at every door for JSON, before anything computes with it.
func TestANumberOfTooManyDigitsIsRefused(t *testing.T) {
	s := start(t, domains, nil)
	const many = "has more than 10000 digits"
	for _, n := range []string{strings.Repeat("1", 500_000), "1e1000000000", "0." + strings.Repeat("1", 20_000), "-1E-10001"} {
		for _, c := range []struct{ method, path, body string }{
			{"POST", "/v1/data/p/x", `{"input":{"x":` + n + `}}`}, {"POST", "/v1/data/p/x", `{"input":{"x":` + n + `},"more":1}`}, {"POST", "/v0/data/p/x", `{"x":` + n + `}`},
			{"POST", "/", `{"x":[` + n + `]}`}, {"POST", "/v1/query", `{"query":"input.x == 1","input":{"x":` + n + `}}`}, {"POST", "/v1/compile", `{"query":"input.x == 1","input":` + n + `}`},
			{"POST", "/v1/batch/data/p/x", `{"inputs":{"a":{"x":` + n + `}}}`}, {"POST", "/v1/batch/data/p/x", `{"inputs":{"a":{}},"common_input":` + n + `}`},
			{"POST", "/policy/evaluate", `{"domain":"admission","input":{"target_type":"skill","target_name":"n","path":"p","scan_result":{"total_findings":` + n + `}}}`},
			{"POST", "/policy/evaluate/firewall", `{"port":` + n + `}`}, {"POST", "/v1/guardrail/evaluate", `{"local_result":{"x":` + n + `}}`},
			{"POST", "/access/v1/evaluation", `{"context":{"x":` + n + `}}`}, {"POST", "/access/v1/evaluations", `{"evaluations":[{"context":{"x":` + n + `}}]}`},
		} {
			s.expect(c.method, c.path, c.body, 400, many)
		}
		s.expect("POST", "/v1/data/p/x", `{"input":{"x":`+n+`}}`, 400, many, "Content-Type: application/yaml")
		if len(n) < 40_000 {
			s.expect("GET", "/v1/data/p/x?input="+url.QueryEscape(`{"x":`+n+`}`), "", 400, many)
			s.expect("POST", "/v1/query", `{"query":"x := `+n+`"}`, 400, "number")
			s.expect("POST", "/v1/compile", `{"query":"input.x == `+n+`"}`, 400, "number")
		}
	}
	s.expect("POST", "/v1/compile", `{"query":"input.x == 1","unknowns":["`+strings.Repeat("[", 10_000)+`"]}`, 400, "it has 10000 bytes; the limit is 4096")
	s.expect("POST", "/v1/data/p/x", `{"input":{"x":`+strings.Repeat("1", 9_000)+`}}`, 200, `"result":111`)
}
