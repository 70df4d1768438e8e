package api_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/decisionlog"
	"defenseclaw/api/events"
	"defenseclaw/api/gate"
	"defenseclaw/engine"
)

// named are tokens by their text, which may change while a server runs.
type named struct {
	mu  sync.Mutex
	all map[string]gate.Token
}

func (n *named) set(text string, token gate.Token) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil {
		n.all = map[string]gate.Token{}
	}
	n.all[text] = token
}

func (n *named) find(d gate.Digest) (gate.Token, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for text, token := range n.all {
		if gate.DigestOf(text) == d {
			return token, true
		}
	}
	return gate.Token{}, false
}

// withTokens has a token "app" for decisions, and "ops" for everything but administration.
func withTokens(t testing.TB, files map[string]string, change func(*api.Config)) (*sidecar, *named) {
	tokens := &named{}
	tokens.set("app", gate.Token{Name: "app-1", Scopes: gate.ScopeDecide})
	tokens.set("ops", gate.Token{Name: "ops-1", Scopes: gate.ScopeDecide | gate.ScopeRead | gate.ScopeQuery | gate.ScopeChange})
	return start(t, files, func(c *api.Config, _ *engine.Config) {
		c.FindToken = tokens.find
		if change != nil {
			change(c)
		}
	}), tokens
}

const asApp, asOps = "Authorization: Bearer app", "Authorization: Bearer ops"

// mixed has rules beside data of its package, above it and below it, and data alone.
var mixed = map[string]string{
	"data.json":          `{"users":{"ada":{"password":"s3cret"}},"flag":true}`,
	"beside/data.json":   `{"hidden":"s3cret"}`,
	"beside/p.rego":      "package beside\nallow := true",
	"above/p.rego":       "package above\nallow := true",
	"above/in/d.rego":    "package above.in.between\nallow := true",
	"above/in/data.json": `{"hidden":"s3cret"}`,
	"p.rego":             "package p\nallow if data.users.ada\nshow := {\"n\": {\"m\": 1}}\nparts[x] := 1 if some x in [\"a\"]\npassword := data.users[input.name].password",
	"ref.rego":           "package ref\na.b[x] := 1 if some x in [\"c\"]",
}

func TestOnlyTokensForQueriesReadDocumentsOfDataFiles(t *testing.T) {
	s, _ := withTokens(t, mixed, nil)
	for path, made := range map[string]bool{
		"p/allow": true, "p": true, "p/show": true, "p/show/n/m": true, "p/parts/a": true, "p/parts/none": true, "beside/allow": true, "above/allow": true, "above/in/between": true,
		"above/in/between/allow": true, "ref": true, "ref/a": true, "ref/a/b": true, "ref/a/b/c": true, "%70/allow": true, "p%2Fallow": true,

		"": false, "users": false, "users/ada": false, "users/ada/password": false, "flag": false, "beside": false, "beside/hidden": false, "above": false, "above/in": false, "none": false,
		"users/none": false, "p/none": false, "ref/none": false, "%75sers": false, "users%2Fada": false, "system": false, "p/..": false, "p/%2e%2e/users": false,
	} {
		for _, route := range []struct{ method, prefix, body string }{
			{"GET", "/v1/data/", ""}, {"POST", "/v1/data/", `{"input":{}}`}, {"POST", "/v0/data/", `{}`}, {"POST", "/v1/batch/data/", `{"inputs":{"a":{}}}`},
		} {
			target := strings.TrimSuffix(route.prefix+path, "/")
			status, body, _ := s.request(route.method, target, route.body, asApp)
			if refused := status == http.StatusForbidden; refused == made || strings.Contains(body, "s3cret") {
				t.Errorf("%s %s: %d %s", route.method, target, status, body)
			}
			if status, body, _ := s.request(route.method, target, route.body, asOps); status == http.StatusForbidden {
				t.Errorf("with the scope query, %s %s: %d %s", route.method, target, status, body)
			}
		}
	}
	s.expect("GET", "/v1/data/users", "", http.StatusForbidden, `the token \"app-1\" lacks the scope \"query\": the document data.users`, asApp)
	s.expect("POST", "/", "{}", http.StatusForbidden, `data.system.main`, asApp)
	s.expect("POST", "/v1/data/p/alow", "{}", http.StatusForbidden, `data.p.alow, which is not made by rules alone (did you mean data.p.allow?), needs it`, asApp)
	s.expect("POST", "/v1/data/abov", "{}", http.StatusForbidden, `data.abov, which is not made by rules alone, needs it`, asApp) // above holds data
	s.expect("POST", "/v1/data/p/password", `{"input":{"name":"ada"}}`, http.StatusOK, "s3cret", asApp)                           // the policy's own choice
}

func TestAnExplanationNeedsTheScopeOfTheDataThatItShows(t *testing.T) {
	s, _ := withTokens(t, mixed, nil)
	for _, mode := range []string{"full", "notes", "fails", "debug"} {
		s.expect("POST", "/v1/data/p/allow?explain="+mode, `{"input":{}}`, http.StatusForbidden, `an explanation needs it`, asApp)
		s.expect("POST", "/v1/data/p/allow?explain="+mode, `{"input":{}}`, http.StatusOK, `"result"`, asOps)
	}
	s.expect("POST", "/v1/data/p/allow?explain=off&metrics&instrument&rule_labels", `{"input":{}}`, http.StatusOK, `"result"`, asApp)
}

func TestInputsOfRecordedDecisionsNeedTheScopeChange(t *testing.T) {
	s, tokens := withTokens(t, mixed, nil)
	tokens.set("reader", gate.Token{Name: "reader-1", Scopes: gate.ScopeRead})
	s.expect("GET", "/policy/diff?inputs=true", "", http.StatusForbidden,
		`the token \"reader-1\" lacks the scope \"change\": inputs=true, which shows inputs of recorded decisions, needs it`, "Authorization: Bearer reader")
	s.expect("GET", "/policy/diff?inputs=true", "", http.StatusOK, "", asOps)
	s.expect("GET", "/policy/diff?inputs=false", "", http.StatusOK, "", "Authorization: Bearer reader")
}

func TestAnExpiredOrRevokedTokenIsRefused(t *testing.T) {
	s, tokens := withTokens(t, mixed, nil)
	s.expect("POST", "/v1/data/p/allow", `{}`, http.StatusOK, "", asApp)
	tokens.set("app", gate.Token{Name: "app-1", Scopes: gate.ScopeDecide, Expires: time.Now().Add(time.Hour)})
	s.expect("POST", "/v1/data/p/allow", `{}`, http.StatusOK, "", asApp)
	tokens.set("app", gate.Token{Name: "app-1", Scopes: gate.ScopeDecide, Expires: time.Now()})
	s.expect("POST", "/v1/data/p/allow", `{}`, http.StatusUnauthorized, `{"error":"unauthorized"}`, asApp)
	s.expect("POST", "/v1/data/p/allow", `{}`, http.StatusOK, "", asApp, "X-DC-Auth: Bearer ops") // another one, which is good
}

func TestAStreamOfEventsEndsWithItsToken(t *testing.T) {
	for name, end := range map[string]gate.Token{
		"expired": {Name: "ops-1", Scopes: gate.ScopeRead, Expires: time.Now()}, "with other scopes": {Name: "ops-1", Scopes: gate.ScopeDecide},
	} {
		t.Run(name, func(t *testing.T) {
			hub, err := events.New(events.Config{})
			if err != nil {
				t.Fatal(err)
			}
			s, tokens := withTokens(t, mixed, func(c *api.Config) { c.Events = hub })
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/policy/events", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer ops")
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			tokens.set("ops", end)
			for buffer := make([]byte, 1024); err == nil; { // the test hangs if the stream does not end
				_, err = response.Body.Read(buffer)
			}
		})
	}
}

// TestTheTokensNameIsTheActor in every record of what its holder does.
func TestTheTokensNameIsTheActor(t *testing.T) {
	log, err := audit.New(audit.Config{Path: filepath.Join(t.TempDir(), "audit.db")})
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, log.Run)
	s, _ := withTokens(t, guarded, func(c *api.Config) { c.Audit = log })
	const asClient = "X-DefenseClaw-Client: anything"
	entry := `{"target_type":"skill","target_name":"x","reason":"r"}`
	s.expect("POST", "/policy/lists/block?open", entry, http.StatusOK, "", asOps, asClient)
	s.expect("DELETE", "/policy/lists/block?open", entry, http.StatusOK, "", asOps, asClient)
	s.expect("POST", "/policy/lists/block?open", entry, http.StatusOK, "", asClient) // the token of the settings
	s.expect("DELETE", "/policy/lists/block?open", entry, http.StatusForbidden, "", asApp, asClient)
	s.expect("GET", "/v1/data/users?open", "", http.StatusForbidden, "", asApp)
	for action, want := range map[string]string{"list-remove": "ops-1", "auth-refused": "app-1", "list-block": "ops-1 default"} {
		got := ""
		for deadline := time.Now().Add(time.Minute); got == "" && time.Now().Before(deadline); { // refusals are written in the background
			records, err := log.Query(t.Context(), audit.Filter{Action: action})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				got = strings.TrimSpace(r.Actor + " " + got)
			}
		}
		if got != want {
			t.Errorf("%s by %q; want %q", action, got, want)
		}
	}
	lists, err := log.Lists()
	if err != nil || len(lists.Block) != 1 || lists.Block[0].Actor != "default" {
		t.Errorf("%+v %v", lists, err)
	}
}

func TestTheDecisionLogNamesTheToken(t *testing.T) {
	out := &logged{}
	log, err := decisionlog.New(decisionlog.Config{Console: out})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx) }()
	s, _ := withTokens(t, mixed, func(c *api.Config) { c.Decisions = log })
	s.expect("POST", "/v1/data/p/allow", `{"input":{}}`, http.StatusOK, "", asApp)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if text := strings.Join(out.take(), ""); !strings.Contains(text, `"caller":"app-1"`) {
		t.Error(text)
	}
}

// TestSystemAuthzSeesTheTokenThatLetTheCallerIn, not one that is presented as well.
func TestSystemAuthzSeesTheTokenThatLetTheCallerIn(t *testing.T) {
	s, _ := withTokens(t, map[string]string{
		"authz.rego": "package system.authz\nallow := {\"allowed\": input.identity == \"ops\", \"reason\": input.identity}", "p.rego": "package p\nx := 1",
	}, nil)
	s.expect("GET", "/v1/data/p/x", "", http.StatusOK, "", asOps)
	s.expect("GET", "/v1/data/p/x", "", http.StatusUnauthorized, `app`, asApp)
	s.expect("GET", "/v1/data/p/x", "", http.StatusOK, "", "Authorization: Bearer guess", "X-DC-Auth: Bearer ops")
	s.expect("GET", "/v1/data/p/x", "", http.StatusUnauthorized, `app`, "Authorization: Bearer guess", "X-DefenseClaw-Token: app")
}

func TestTheScopesAreDocumented(t *testing.T) {
	o := readOpenAPI(t, false)
	for pattern, needs := range api.RouteScopes() {
		item := o.doc.Paths.Value(documented(pattern))
		if item == nil {
			continue // another test says so
		}
		for method, operation := range item.Operations() {
			if got, _ := operation.Extensions["x-scope"].(string); got != needs(method).String() {
				t.Errorf("%s %s needs %q; openapi.yaml says %q", method, pattern, needs(method), got)
			}
		}
	}
}
