package api_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"defenseclaw/api"
	"defenseclaw/engine"
)

// The facts that the OpenID Foundation certifies a decision point by: "AuthZEN Authorization API 1.0 Certification
// Scenario". The comments name its levels. The level Search is for decision points that can search.

// recordPolicy decides as the scenario's fixture demands.
const recordPolicy = `package authzen

default allow := false

archived if input.resource.properties.status == "archived"

allow if input.action.name == "read"

allow if {
	input.action.name == "write"
	input.subject.id == "alice"
	not archived
}

allow if {
	input.action.name == "write"
	input.subject.properties.role == "admin"
	archived
}

allow if {
	input.action.name == "delete"
	input.subject.id == "alice"
	input.action.properties.soft
}`

// decisionPoint is a sidecar that is asked over TLS.
type decisionPoint struct {
	t      *testing.T
	url    string
	client *http.Client
}

func newDecisionPoint(t *testing.T, files map[string]string) *decisionPoint {
	t.Helper()
	lender := httptest.NewTLSServer(http.NotFoundHandler()) // of a certificate, and of a client that trusts it
	t.Cleanup(lender.Close)
	s := start(t, files, func(c *api.Config, _ *engine.Config) { c.TLS = &tls.Config{Certificates: lender.TLS.Certificates} })
	t.Cleanup(lender.Client().CloseIdleConnections)
	return &decisionPoint{t, "https://" + s.addr, lender.Client()}
}

func (p *decisionPoint) ask(method, path, body string, headers ...string) (status int, answer string, h http.Header) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	response, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(text)), response.Header
}

// expect is a decision of a single evaluation.
func (p *decisionPoint) expect(body string, want bool) {
	p.t.Helper()
	for range 3 { // it is the same each time
		status, answer, h := p.ask("POST", "/access/v1/evaluation", body)
		if status != http.StatusOK || answer != fmt.Sprintf(`{"decision":%v}`, want) || h.Get("Content-Type") != "application/json" {
			p.t.Errorf("%s: %d %s %s; want %v", body, status, h.Get("Content-Type"), answer, want)
		}
	}
}

// decisions are those of a batch, as letters: p for permit, d for deny.
func (p *decisionPoint) decisions(body string) string {
	p.t.Helper()
	status, answer, h := p.ask("POST", "/access/v1/evaluations", body)
	var got struct {
		Decision    *bool
		Evaluations []struct{ Decision *bool }
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusOK || h.Get("Content-Type") != "application/json" || got.Decision != nil {
		p.t.Errorf("%s: %d %s: %v", body, status, answer, err)
	}
	letters := ""
	for _, e := range got.Evaluations {
		switch {
		case e.Decision == nil:
			p.t.Errorf("%s: an evaluation without a decision: %s", body, answer)
		case *e.Decision:
			letters += "p"
		default:
			letters += "d"
		}
	}
	return letters
}

// one is an entity as a field of an evaluation; properties are those of a JSON object.
func one(field, kind, id, properties string) string {
	if properties != "" {
		properties = `,"properties":{` + properties + `}`
	}
	if field == "action" {
		return fmt.Sprintf(`"action":{"name":%q%s}`, id, properties)
	}
	return fmt.Sprintf(`%q:{"type":%q,"id":%q%s}`, field, kind, id, properties)
}

func who(id, properties string) string    { return one("subject", "user", id, properties) }
func does(name, properties string) string { return one("action", "", name, properties) }
func record(id, properties string) string { return one("resource", "record", id, properties) }
func object(fields ...string) string      { return "{" + strings.Join(fields, ",") + "}" }
func batch(list ...string) string         { return `"evaluations":[` + strings.Join(list, ",") + "]" }

const (
	active   = `"status":"active"`
	archived = `"status":"archived"`
)

func TestAuthZENCertificationOfSingleEvaluations(t *testing.T) {
	p := newDecisionPoint(t, map[string]string{"records.rego": recordPolicy})
	alice, bob, read, write, first := who("alice", ""), who("bob", ""), does("read", ""), does("write", ""), record("record-1", "")
	second := record("record-2", archived)
	// Basic Core
	p.expect(object(alice, read, first), true)
	p.expect(object(alice, write, first), true)
	p.expect(object(bob, read, first), true)
	p.expect(object(bob, write, first), false)
	p.expect(object(alice, read, first, `"context":{"time":"2026-06-27T18:03-07:00","ip":"192.0.2.1"}`), true)
	p.expect(object(who("alice", `"department":"Sales","role":"manager"`), does("read", `"method":"GET"`), record("record-1", active+`,"owner":"bob"`)), true)
	p.expect(object(alice, read, first, `"later":"text"`, `"evenLater":{"nested":true}`), true)
	// Basic Properties
	p.expect(object(alice, write, second), false)
	p.expect(object(who("bob", `"role":"admin"`), write, second), true)
	p.expect(object(alice, does("delete", `"soft":true`), first), true)
	p.expect(object(alice, does("delete", `"soft":false`), first), false)
}

func TestAuthZENCertificationOfErrorsAndHeaders(t *testing.T) {
	p := newDecisionPoint(t, map[string]string{"records.rego": recordPolicy})
	alice, read, first := who("alice", ""), does("read", ""), record("record-1", "")
	for _, path := range []string{"/access/v1/evaluation", "/access/v1/evaluations"} {
		for _, body := range []string{
			object(read, first), object(alice, first), object(alice, read),
			object(`"subject":{"id":"alice"}`, read, first), object(`"subject":{"type":"user"}`, read, first), object(alice, `"action":{}`, first),
			object(alice, read, `"resource":{"id":"record-1"}`), object(alice, read, `"resource":{"type":"record"}`),
			object(`"subject":"alice"`, read, first), object(alice, `"action":{"name":123}`, first),
			`{"subject":`, `alice`, ``,
		} {
			status, answer, h := p.ask("POST", path, body)
			if status != http.StatusBadRequest || !strings.HasPrefix(answer, `{"error":"`) || h.Get("Content-Type") != "application/json" {
				t.Errorf("%s %s: %d %s", path, body, status, answer)
			}
		}
		for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "application/jsonp", "/"} {
			if status, answer, _ := p.ask("POST", path, object(alice, read, first), "Content-Type: "+contentType); status != http.StatusBadRequest {
				t.Errorf("%s of %s: %d %s", path, contentType, status, answer)
			}
		}
		for _, id := range []string{"bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "an id of its own"} {
			for _, body := range []string{object(alice, read, first), `{}`} {
				if _, _, h := p.ask("POST", path, body, "X-Request-ID: "+id); !slices.Equal(h.Values("X-Request-ID"), []string{id}) {
					t.Errorf("%s %s: X-Request-ID %q is answered with %q", path, body, id, h.Values("X-Request-ID"))
				}
			}
		}
		if status, answer, _ := p.ask("POST", path, object(alice, read, first)); status != http.StatusOK || answer != `{"decision":true}` {
			t.Errorf("%s without X-Request-ID: %d %s", path, status, answer)
		}
	}
}

func TestAuthZENCertificationOfBatches(t *testing.T) {
	p := newDecisionPoint(t, map[string]string{"records.rego": recordPolicy})
	alice, bob, read, write, first, second := who("alice", ""), who("bob", ""), does("read", ""), does("write", ""), record("record-1", ""), record("record-2", archived)
	for _, c := range []struct{ what, body, want string }{
		// Batch Core
		{"one subject and action", object(alice, read, batch(object(first), object(record("record-2", "")))), "pp"},
		{"in the order of the request", object(bob, first, batch(object(read), object(write))), "pd"},
		{"nothing shared", object(batch(object(alice, read, first), object(bob, write, first))), "pd"},
		{"a context for all, and one of its own", object(alice, read, `"context":{"time":"t"}`, batch(object(first), object(second, `"context":{"time":"u","source":"own"}`))), "pp"},
		{"one that cannot be decided", object(alice, read, batch(object(first), object())), "pd"},
		// Batch Properties
		{"properties of each resource", object(alice, write, batch(object(record("record-1", active)), object(second))), "pd"},
		{"properties of each subject", object(write, second, batch(object(alice), object(who("bob", `"role":"admin"`)))), "dp"},
		{"a type that is shared", object(alice, write, `"resource":{"type":"record"}`, batch(object(`"resource":{"id":"record-1","properties":{`+active+`}}`), object(second))), "pd"},
		// what is shared is never mixed into an entity of its own
		{"no property that is shared", object(alice, write, second, batch(object(record("record-1", "")), object())), "pd"},
		{"a name that is shared", object(alice, first, `"action":{"name":"delete"}`, batch(object(`"action":{"properties":{"soft":true}}`), object())), "pd"},
		// the semantics of the specification
		{"the first denial ends it", object(bob, first, batch(object(read), object(write), object(read)), `"options":{"evaluations_semantic":"deny_on_first_deny"}`), "pd"},
		{"the first permission ends it", object(bob, first, batch(object(write), object(read), object(write)), `"options":{"evaluations_semantic":"permit_on_first_permit"}`), "dp"},
		{"all are decided", object(bob, first, batch(object(write), object(read), object(write)), `"options":{"evaluations_semantic":"execute_all"}`), "dpd"},
	} {
		if got := p.decisions(c.body); got != c.want {
			t.Errorf("%s: %s: %s; want %s", c.what, c.body, got, c.want)
		}
	}
	for _, body := range []string{object(alice, read, first), object(alice, read, first, `"evaluations":[]`)} {
		if status, answer, _ := p.ask("POST", "/access/v1/evaluations", body); status != http.StatusOK || answer != `{"decision":true}` {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
}

func TestAuthZENCertificationOfDiscovery(t *testing.T) {
	p := newDecisionPoint(t, map[string]string{"records.rego": recordPolicy})
	status, answer, h := p.ask("GET", "/.well-known/authzen-configuration", "", "X-Request-ID: mine")
	var metadata map[string]string
	if err := json.Unmarshal([]byte(answer), &metadata); err != nil || status != http.StatusOK || h.Get("Content-Type") != "application/json" || h.Get("X-Request-ID") != "mine" {
		t.Fatalf("%d %s %v: %v", status, answer, h, err)
	}
	if metadata["policy_decision_point"] != p.url {
		t.Errorf("the decision point at %s calls itself %s", p.url, metadata["policy_decision_point"])
	}
	for name, address := range metadata {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || strings.HasPrefix(name, "search_") {
			t.Errorf("%s is %s: %v", name, address, err)
		}
	}
	if address := metadata["access_evaluation_endpoint"]; address != p.url+"/access/v1/evaluation" {
		t.Errorf("access_evaluation_endpoint is %s", address)
	}
	if address := metadata["access_evaluations_endpoint"]; address != p.url+"/access/v1/evaluations" {
		t.Errorf("access_evaluations_endpoint is %s", address)
	}
	for _, what := range []string{"subject", "resource", "action"} { // there is no search, where it would be too
		status, answer, _ := p.ask("POST", "/access/v1/search/"+what, object(who("alice", ""), does("read", ""), record("record-1", "")))
		if status != http.StatusNotFound || answer != `{"error":"no such route"}` {
			t.Errorf("a search for %ss: %d %s", what, status, answer)
		}
	}
}

// todoPolicy is that of the working group's interoperability scenario, a shared list of things to do.
const todoPolicy = `package authzen

default allow := false

somebody := data.people[input.subject.id] if input.subject.type == "user"

mine if input.resource.properties.ownerID == somebody.email

allow if {
	input.action.name in {"can_read_user", "can_read_todos"}
	somebody
}

allow if {
	input.action.name == "can_create_todo"
	some role in somebody.roles
	role in {"admin", "editor"}
}

allow if {
	input.action.name == "can_update_todo"
	"evil_genius" in somebody.roles
}

allow if {
	input.action.name == "can_delete_todo"
	"admin" in somebody.roles
}

allow if {
	input.action.name in {"can_update_todo", "can_delete_todo"}
	"editor" in somebody.roles
	mine
}`

// cast are the people of that scenario, by the opaque names under which they sign in.
var cast = []struct {
	pid, email string
	roles      []string
	decisions  string // on the eight requests that each of them makes
}{
	{"CiRmZDA2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs", "rick@the-citadel.com", []string{"admin", "evil_genius"}, "pppppppp"},
	{"CiRmZDE2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs", "morty@the-citadel.com", []string{"editor"}, "ppppdpdp"},
	{"CiRmZDI2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs", "summer@the-smiths.com", []string{"editor"}, "ppppdpdp"},
	{"CiRmZDM2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs", "beth@the-smiths.com", []string{"viewer"}, "pppddddd"},
	{"CiRmZDQ2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs", "jerry@the-smiths.com", []string{"viewer"}, "pppddddd"},
}

func TestTheAuthZENInteroperabilityScenario(t *testing.T) {
	people := map[string]any{}
	for _, c := range cast {
		people[c.pid] = map[string]any{"email": c.email, "roles": c.roles}
	}
	data, err := json.Marshal(map[string]any{"people": people})
	if err != nil {
		t.Fatal(err)
	}
	p := newDecisionPoint(t, map[string]string{"todo.rego": todoPolicy, "data.json": string(data)})
	todo := func(id, owner string) string {
		if owner != "" {
			owner = fmt.Sprintf(`"ownerID":%q`, owner)
		}
		return one("resource", "todo", id, owner)
	}
	rick, morty, jerry := cast[0], cast[1], cast[4]
	decided := 0
	for i, c := range cast {
		own := c.email
		if i == 0 {
			own = morty.email // rick's second is another's
		}
		ricks, second := todo("7240d0db-8ff0-41ec-98b2-34a096273b92", rick.email), todo(fmt.Sprintf("7240d0db-8ff0-41ec-98b2-34a096273b9%d", i), own)
		for n, request := range []string{
			does("can_read_user", "") + "," + one("resource", "user", "beth@the-smiths.com", ""), does("can_read_user", "") + "," + one("resource", "user", c.pid, ""),
			does("can_read_todos", "") + "," + todo("todo-1", ""), does("can_create_todo", "") + "," + todo("todo-1", ""),
			does("can_update_todo", "") + "," + ricks, does("can_update_todo", "") + "," + second,
			does("can_delete_todo", "") + "," + ricks, does("can_delete_todo", "") + "," + second,
		} {
			p.expect(object(who(c.pid, ""), request), c.decisions[n] == 'p')
			decided++
		}
	}
	if decided != 40 {
		t.Errorf("%d decisions; the scenario has 40", decided)
	}
	update := does("can_update_todo", "")
	for _, c := range []struct{ pid, second, want string }{{rick.pid, jerry.email, "pp"}, {morty.pid, morty.email, "dp"}, {jerry.pid, jerry.email, "dd"}} {
		body := object(who(c.pid, ""), update, batch(object(todo("1", rick.email)), object(todo("2", c.second))))
		if got := p.decisions(body); got != c.want {
			t.Errorf("%s: %s; want %s", body, got, c.want)
		}
	}
	p.expect(object(who("stranger", ""), does("can_read_todos", ""), todo("todo-1", "")), false)
}
