package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"defenseclaw/api"
	"defenseclaw/api/gate"
	"defenseclaw/engine"
)

// keeping has two policies that are kept, one of them damaged.
func keeping(c *api.Config, _ *engine.Config) {
	c.Kept = func(_ context.Context, name string) (fs.FS, error) {
		switch name {
		case "abcd", "7":
			return policy(map[string]string{"p.rego": "package p\nx := 2"}), nil
		case "dead":
			return nil, errors.New("damaged")
		default:
			return nil, api.ErrNoSide
		}
	}
}

func answersToTries(t *testing.T, o *openAPI) {
	s := start(t, map[string]string{"p.rego": "package p\nx := input.x if input.x > 1\ny := 1 if input.a\ny := 2 if input.b"}, keeping)
	post := func(body string) question { return question{"POST", "/policy/try", body, clientHeaders} }
	for _, body := range []string{
		`{"path":"data.p.x"}`, `{"path":"p/x","input":null,"explain":true}`, `{"path":"p/x","at":"abcd"}`, `{"path":"p/x","at":7}`, `{"path":"p"}`,
		`{"path":"p/y","input":{"a":1,"b":1},"explain":true,"coverage":true}`,
	} {
		o.ask(s, post(body), http.StatusOK)
	}
	o.ask(s, question{"GET", "/policy/try?at=abcd&limit=1", "", nil}, http.StatusOK)
	o.ask(s, question{"GET", "/policy/try?limit=0", "", nil}, http.StatusBadRequest, true)
	o.ask(s, question{"GET", "/policy/try?at=ffff", "", nil}, http.StatusNotFound)
	o.ask(s, question{"GET", "/policy/try?at=dead", "", nil}, http.StatusUnprocessableEntity)
	o.ask(s, post(`{"path":"p/none"}`), http.StatusNotFound)
	o.ask(s, post(`{"path":"p/x","at":"candidate"}`), http.StatusNotFound)
	s.files = policy(map[string]string{"p.rego": "package p\nx := := 2"})
	o.ask(s, post(`{"path":"p/x","at":"disk"}`), http.StatusUnprocessableEntity)
}

func tryOf(t *testing.T, s *sidecar, body string) (a api.TryAnswer) {
	t.Helper()
	status, text, _ := s.request("POST", "/policy/try", body, clientHeaders...)
	if err := json.Unmarshal([]byte(text), &a); status != http.StatusOK || err != nil {
		t.Fatalf("%s: %d %s", body, status, text)
	}
	return a
}

const tried = `package p

allow if {
	input.role == "admin"
	input.size < 10
}
`

func TestTry(t *testing.T) {
	s := start(t, map[string]string{"p.rego": tried}, keeping)
	a := tryOf(t, s, `{"path":"p/allow","input":{"role":"admin","size":30},"explain":true,"coverage":true,"source":true}`)
	want := api.TryReason{Kind: "failed", Rule: "data.p.allow", File: "p.rego", Line: 5, Text: "input.size < 10", Values: []api.TryValue{{Name: "input.size", Value: "30"}}}
	if a.Defined || a.Result != nil || a.Generation != 1 || len(a.Explanation) != 1 || fmt.Sprint(a.Explanation[0]) != fmt.Sprint(want) {
		t.Errorf("%+v", a)
	}
	if l := a.Coverage["p.rego"]; !slices.Equal(l.Covered, []string{"4-5"}) || !slices.Equal(l.Missed, []string{"3"}) || a.Source["p.rego"] != tried {
		t.Errorf("%+v %q", l, a.Source)
	}
	if a := tryOf(t, s, `{"path":"data.p.allow","input":{"role":"admin","size":3}}`); string(a.Result) != "true" || a.Explanation != nil || a.Coverage != nil || a.DurationUS <= 0 {
		t.Errorf("%+v", a)
	}
	s.files = policy(map[string]string{"p.rego": strings.Replace(tried, "10", "50", 1)})
	for at, defined := range map[string]bool{`"serving"`: false, `"disk"`: true} {
		a := tryOf(t, s, `{"path":"p/allow","input":{"role":"admin","size":30},"at":`+at+`}`)
		if a.Defined != defined || a.Generation != 0 != (at == `"serving"`) {
			t.Errorf("%s: %+v", at, a)
		}
	}
	if a := tryOf(t, s, `{"path":"p/x","at":7}`); string(a.Result) != "2" || a.At != "7" {
		t.Errorf("%+v", a)
	}
}

func TestTryOnBrokenFilesNamesThePlace(t *testing.T) {
	s := start(t, map[string]string{"p.rego": tried}, nil)
	s.files = policy(map[string]string{"p.rego": "package p\nallow := lowerr(1)"})
	status, text, _ := s.request("POST", "/policy/try", `{"path":"p/allow","at":"disk"}`, clientHeaders...)
	var answer api.ReloadAnswer
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusUnprocessableEntity || len(answer.Diagnostics) != 1 || answer.Diagnostics[0].Line != 2 {
		t.Errorf("%d %s", status, text)
	}
}

func TestTryTellsWhatThePolicyDoesWrong(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx := 1 if input.a\nx := 2 if input.b\ny if {\n\tsome i in numbers.range(1, 4000)\n\tsome j in numbers.range(1, 4000)\n\ti * j == input.no\n}"},
		func(_ *api.Config, e *engine.Config) { e.DecisionTimeout = 50e6 })
	if a := tryOf(t, s, `{"path":"p/x","input":{"a":1,"b":1},"explain":true}`); !strings.Contains(a.Failed, "conflict") || a.Defined || len(a.Explanation) == 0 {
		t.Errorf("%+v", a)
	}
	if a := tryOf(t, s, `{"path":"p/y","input":{"no":-1},"explain":true,"coverage":true}`); a.Failed == "" || a.Incomplete == "" || len(a.Explanation) > 200 {
		t.Errorf("%+v", a)
	}
}

// TestTriesTakeNoDecisionsPlace with one slot for decisions, and more tries than run at once.
func TestTriesTakeNoDecisionsPlace(t *testing.T) {
	s := start(t, map[string]string{"p.rego": tried + "slow if {\n\tsome i in numbers.range(1, 4000)\n\tsome j in numbers.range(1, 4000)\n\ti * j == input.no\n}"},
		func(_ *api.Config, e *engine.Config) { e.MaxDecisions = 1 })
	var all sync.WaitGroup
	statuses := make(chan int, 6)
	for range 6 {
		all.Go(func() {
			status, _, _ := s.request("POST", "/policy/try", `{"path":"p/slow","input":{"no":-1}}`, clientHeaders...)
			statuses <- status
		})
	}
	for range 20 {
		s.expect("POST", "/v1/data/p/allow", `{"input":{"role":"admin","size":1}}`, http.StatusOK, `"result":true`)
	}
	all.Wait()
	close(statuses)
	for status := range statuses {
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Errorf("a try is answered %d", status)
		}
	}
}

func TestTryNeedsTheScopesOfWhatItShows(t *testing.T) {
	for scopes, want := range map[gate.Scopes]int{
		gate.ScopeQuery: http.StatusForbidden, gate.ScopeRead | gate.ScopeChange: http.StatusForbidden, gate.ScopeRead | gate.ScopeQuery: http.StatusOK,
	} {
		s := start(t, map[string]string{"p.rego": tried}, func(c *api.Config, _ *engine.Config) {
			c.FindToken = func(d gate.Digest) (gate.Token, bool) {
				return gate.Token{Name: "app", Scopes: scopes}, d == gate.DigestOf("app-token")
			}
		})
		headers := append([]string{"Authorization: Bearer app-token"}, clientHeaders...)
		if status, text, _ := s.request("POST", "/policy/try", `{"path":"p/allow"}`, headers...); status != want {
			t.Errorf("%s: %d %s", scopes, status, text)
		}
	}
}
