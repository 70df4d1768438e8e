package api_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"
)

// oracleData is the data of both servers.
const oracleData = `{"users":{"alice":{"roles":["admin","dev"],"age":30},"bob":{"roles":[],"age":1.50}},
"odd":{"a/b":1,"a b":2,"ü":3,"0":"zero","a.b":4,"%":5,"+":6,"":7},"list":[[1,2],[3,{"k":"v"}]],"n":null,"f":false,"t":true,
"big":12345678901234567890,"html":"<a>&</a>","long":["0123456789","0123456789","0123456789","0123456789","0123456789"]}`

// oraclePolicies are the policies of both servers.
var oraclePolicies = map[string]string{
	"a/authz.rego": `package authz

default allow := false

allow if "admin" in data.users[input.user].roles

allow if {
	input.method == "GET"
	some role in data.users[input.user].roles
	role == input.role
	note(role)
}

note(role) if trace(sprintf("role %s", [role]))

roles contains r if some r in data.users[input.user].roles

by_name[name] := u.age if some name, u in data.users

nested.deep.value := 1

nested[x].y := x if some x in ["p", "q"]`,
	"conflict.rego": `package conflict

a := x if some x in [1, 2]

b[k] := v if {
	some v in input.vs
	k := "same"
}

f(_) := input.one

f(_) := input.two

g := f(1)`,
	"main.rego": `package system

main := {"who": input.who} if input.who`,
	"labels.rego": `# METADATA
# scope: package
# labels:
#   team: core
package labels

# METADATA
# labels:
#   rule: x
x := 1 if input.on

# METADATA
# labels:
#   rule: y
y := x + 1`,
	"kinds.rego": `package kinds

import data.authz

s := {3, 1, 2}
o := {1: "one", "two": [null, true]}
undefined_rule if false
says := sprintf("%v", [input])
number := 1.50
nan := 1e400
calls := x if x := authz.allow with input as {"user": "alice"}
everyone if every u in data.users { u.age > 0 }
null_rule := null
false_rule := false
strict := to_number(input.text)
partial_set contains x if some x in input.xs
object_of_sets[k] contains v if some k, v in input.m
fn(x) := x * 2
printed if print("nobody reads this", input)`,
	"filters.rego": `# METADATA
# scope: package
# compile:
#   unknowns: [input.fruits]
package filters

# METADATA
# scope: document
# compile:
#   mask_rule: masks
include if input.fruits.name == "banana"

include if {
	input.fruits.price > input.least
	"admin" in data.users[input.user].roles
}

masks.fruits.supplier := {"replace": {"value": "<hidden>"}} if not "admin" in data.users[input.user].roles

everything if input.user == "alice"

joined if {
	input.fruits.owner == input.people.id
	startswith(input.people.name, "a")
}

odd if count(input.fruits.colours) > 2

misspelt if input.fruit.name == "banana"

other if input.baskets.size in {1, 2, 3}

fails if input.fruits.price > to_number(input.text)`,
	"below.rego": `package filters.below

include if input.fruits.name != input.name`,
	"dashed.rego": `package dashed["foo-bar"].baz

v := 1`,
}

// oracle is OPA's own server and ours on the same policies and data.
type oracle struct {
	opa, ours http.Handler
}

func newOracle(t testing.TB) *oracle {
	t.Helper()
	return newOracleOf(t, oraclePolicies, func(s *server.Server) *server.Server { return s })
}

// newOracleOf asks OPA as change sets it up.
func newOracleOf(t testing.TB, policies map[string]string, change func(*server.Server) *server.Server) *oracle {
	t.Helper()
	files := maps.Clone(policies)
	files["data.json"] = oracleData
	manager, store := oracleManager(t, policies)
	return newOracleWith(t, start(t, files, nil), change(server.New().WithStore(store).WithManager(manager)))
}

func newOracleWith(t testing.TB, ours http.Handler, opa *server.Server) *oracle {
	t.Helper()
	s, err := opa.WithDecisionIDFactory(func() string { return "id" }).Init(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &oracle{ours: ours, opa: s.Handler}
}

// oracleManager is what OPA's server asks, with the policies and the data.
func oracleManager(t testing.TB, policies map[string]string) (*plugins.Manager, storage.Store) {
	t.Helper()
	var data map[string]any
	if err := util.UnmarshalJSON([]byte(oracleData), &data); err != nil {
		t.Fatal(err)
	}
	store := inmem.NewFromObject(data)
	err := storage.Txn(t.Context(), store, storage.WriteParams, func(txn storage.Transaction) (err error) {
		for name, text := range policies {
			err = errors.Join(err, store.UpsertPolicy(t.Context(), txn, name, []byte(text)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	manager, err := plugins.New(nil, "oracle", store,
		plugins.WithParserOptions(ast.ParserOptions{ProcessAnnotation: true}), // as its files are read
		plugins.EnablePrintStatements(true),                                   // as opa run has them
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { manager.Stop(t.Context()) })
	return manager, store
}

// question is one request.
type question struct {
	method, target, body string
	headers              []string // "Name: value"
}

func ask(t testing.TB, h http.Handler, q question) (int, http.Header, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), q.method, "http://127.0.0.1/", strings.NewReader(q.body))
	u, err := url.ParseRequestURI(q.target)
	if err != nil {
		t.Fatal(err)
	}
	r.URL, r.RequestURI, r.RemoteAddr = u, q.target, "127.0.0.1:1"
	r.Header.Set("Authorization", "Bearer "+token)
	for _, header := range q.headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body := w.Body.String()
	if w.Header().Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if _, err := text.ReadFrom(unpacked); err != nil {
			t.Fatal(err)
		}
		body = text.String()
	}
	return w.Code, w.Header(), body
}

// compare returns both answers as far as they must be the same.
func (o *oracle) compare(t testing.TB, q question) (opa, ours string) {
	t.Helper()
	status, h, body := ask(t, o.opa, q)
	ourStatus, ourH, ourBody := ask(t, o.ours, q)
	if path, _, _ := strings.Cut(q.target, "?"); path == "/health" && ourStatus == http.StatusOK {
		ourBody = withoutStates(t, ourBody)
	}
	if status == http.StatusInternalServerError && ourStatus == http.StatusBadRequest && strings.Contains(ourBody, `"invalid path: `) &&
		invalidPathPattern.MatchString(body) {
		return "an invalid path", "an invalid path" // the caller's fault, which OPA calls its own
	}
	if strings.Contains(ourBody, `"path_not_found"`) {
		body, ourBody = withoutWarning(t, body), withoutWarning(t, ourBody)
	}
	return comparable(status, h, body), comparable(ourStatus, ourH, ourBody)
}

// withoutWarning is a body without the warning: only ours has one that nothing is at the path, and says it instead of another.
func withoutWarning(t testing.TB, body string) string {
	t.Helper()
	var v map[string]any
	if err := util.UnmarshalJSON([]byte(body), &v); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	delete(v, "warning")
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// withoutStates is the body of a healthy answer without what ours has in addition to OPA's: clients of the original gateway
// read the states of the parts there. OPA's clients look at the status, and in the body for an error, which stays.
func withoutStates(t testing.TB, body string) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("GET /health: %s: %v", body, err)
	}
	for _, name := range []string{
		"started_at", "uptime_ms", "gateway", "watcher", "config", "api", "guardrail", "telemetry", "ai_discovery", "application_protection", "provenance",
	} {
		delete(v, name)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

var (
	invalidPathPattern = regexp.MustCompile(`"message": "(invalid_parameter: invalid path: |\d+ errors? occurred: 1:1: rego_type_error: )`)
	decisionIDPattern  = regexp.MustCompile(`"decision_id": ?"[^"]*"`)
	stepPattern        = regexp.MustCompile(`^\S+\s+[| ]*\w+`)
	localPattern       = regexp.MustCompile(`__local\d+__`)
)

// comparable is an answer without what cannot be the same: identifiers, times, and who OPA thinks it is.
func comparable(status int, h http.Header, body string) string {
	var b strings.Builder
	b.WriteString(http.StatusText(status) + "\n")
	if status == http.StatusTemporaryRedirect { // the mux's, which wraps it in a page with the whole query
		location, _, _ := strings.Cut(h.Get("Location"), "?")
		return b.String() + location
	}
	for _, name := range []string{"Content-Type", "Content-Encoding", "Vary", "Location"} {
		b.WriteString(name + ": " + strings.Join(h.Values(name), ", ") + "\n")
	}
	body = decisionIDPattern.ReplaceAllString(body, `"decision_id":"id"`)
	body = localPattern.ReplaceAllString(body, "__local__")
	var v map[string]any
	if util.UnmarshalJSON([]byte(body), &v) == nil {
		if different := normalize(v); different {
			text, _ := json.MarshalIndent(v, "", " ")
			body = string(text)
		}
	}
	b.WriteString(body)
	return b.String()
}

// normalize takes from an answer what may be different each time, in OPA's own answers too, and
// reports whether there was any.
func normalize(v map[string]any) (different bool) {
	if m, ok := v["metrics"].(map[string]any); ok {
		v["metrics"], different = slices.Sorted(maps.Keys(m)), true
	}
	if p, ok := v["provenance"].(map[string]any); ok {
		delete(p, "bundles")
		delete(p, "generation")
		if p["build_timestamp"] == "" { // which ours leaves out, since OPA's clients do not take it
			delete(p, "build_timestamp")
		}
		different = true
	}
	if trace, ok := v["explanation"].([]any); ok && len(trace) > 0 {
		for i, event := range trace {
			switch event := event.(type) {
			case map[string]any:
				sorted(event["locals"])
			case string: // the names of variables depend on the order in which OPA compiles modules
				trace[i] = stepPattern.FindString(event)
			}
		}
		different = true
	}
	if errs, ok := v["errors"].([]any); ok {
		sorted(errs)
		different = true
	}
	if isPolicyList(v) {
		sorted(v["result"])
		different = true
	}
	return different
}

// sorted puts a list in the order of its members' JSON.
func sorted(list any) {
	if list, ok := list.([]any); ok {
		slices.SortFunc(list, func(a, b any) int {
			textA, _ := json.Marshal(a)
			textB, _ := json.Marshal(b)
			return bytes.Compare(textA, textB)
		})
	}
}

func isPolicyList(v map[string]any) bool {
	list, ok := v["result"].([]any)
	if !ok || len(list) == 0 {
		return false
	}
	first, ok := list[0].(map[string]any)
	return ok && first["ast"] != nil
}

func TestOPAsOwnServerGivesTheSameAnswers(t *testing.T) {
	o := newOracle(t)
	n := 0
	for _, q := range questions() {
		n++
		// Twice, since the first decision of a path prepares it, which metrics show.
		o.compare(t, q)
		if opa, ours := o.compare(t, q); opa != ours {
			t.Errorf("%s %s %.200s %q\nOPA:  %.2000s\nours: %.2000s", q.method, q.target, q.body, q.headers, opa, ours)
		}
	}
	t.Logf("%d requests", n)
}
