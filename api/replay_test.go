package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/replay"
)

// replaying evaluates changes with two records of p/x.
func replaying(c *api.Config, _ *engine.Config) {
	c.Evaluate = func(ctx context.Context, base, candidate *engine.Generation, steps []string) (e review.Evidence) {
		recs := []records.Record{
			{Path: "p/x", Input: json.RawMessage(`{"n":1,"mark":"shown"}`), Result: json.RawMessage(`true`), Time: time.Unix(1, 0), DecisionID: "a"},
			{Path: "p/x", Input: json.RawMessage(`{"n":9}`), Result: json.RawMessage(`false`), Time: time.Unix(2, 0), DecisionID: "b"},
		}
		if steps[0] == api.StepCoverage {
			e.Coverage, _ = replay.Cover(ctx, candidate, recs, replay.Options{})
			return e
		}
		if steps[0] != api.StepReplay {
			return review.Evidence{Incomplete: []string{steps[0] + ": not here"}}
		}
		e.Replay, _ = replay.Run(ctx, base, candidate, recs, replay.Options{})
		return e
	}
}

const limited = "package p\ndefault x := false\nx if input.n < 5"

// answersToReplays are those about recorded decisions.
func answersToReplays(t *testing.T, o *openAPI) {
	ask := question{"POST", "/policy/replay", "", []string{clientHeader}}
	s := start(t, map[string]string{"p.rego": limited}, replaying)
	o.ask(s, ask, http.StatusOK)
	s.files = policy(map[string]string{"p.rego": strings.Replace(limited, "< 5", "< 1", 1)})
	o.ask(s, ask, http.StatusOK)
	o.ask(s, question{"GET", "/policy/diff?with=replay,probe", "", nil}, http.StatusOK)
	o.ask(s, question{"POST", "/policy/replay?from=../p", "", []string{clientHeader}}, http.StatusBadRequest)
	o.ask(s, question{"POST", "/policy/replay?from=ffff", "", []string{clientHeader}}, http.StatusNotFound)
	s.files = policy(map[string]string{"p.rego": "package p\nx := := 2"})
	o.ask(s, ask, http.StatusUnprocessableEntity)
	o.ask(start(t, map[string]string{"p.rego": limited}, nil), ask, http.StatusServiceUnavailable)
}

// TestInputsAreForThoseWhoMayChange asks for the same replay in both ways.
func TestInputsAreForThoseWhoMayChange(t *testing.T) {
	s := start(t, map[string]string{"p.rego": limited}, replaying)
	s.files = policy(map[string]string{"p.rego": strings.Replace(limited, "< 5", "< 1", 1)})
	body := func(method, path string) string {
		t.Helper()
		status, text, _ := s.request(method, path, "", clientHeaders...)
		if status != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, status, text)
		}
		return text
	}
	for path, shown := range map[string]bool{"POST /policy/replay": true, "GET /policy/diff?with=replay": false} {
		method, target, _ := strings.Cut(path, " ")
		text := body(method, target)
		for _, want := range []string{`"allow_to_deny":1`, `"rule":"data.p.x"`, `"file":"p.rego","row":3`, `"after":false`} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %s: %s", path, want, text)
			}
		}
		if strings.Contains(text, "shown") != shown {
			t.Errorf("%s: the input is shown or not: %s", path, text)
		}
	}
}
