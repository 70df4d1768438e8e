package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// keptOf keeps a policy under the name abcd, and a damaged one as dead.
func keptOf(c *api.Config, files map[string]string) {
	c.Kept = func(_ context.Context, name string) (fs.FS, error) {
		switch name {
		case "abcd":
			return policy(files), nil
		case "dead":
			return nil, errors.New("damaged")
		default:
			return nil, api.ErrNoSide
		}
	}
}

// answersToDiffs are those about two policies.
func answersToDiffs(t *testing.T, o *openAPI) {
	dry := question{"POST", "/policy/reload?dry_run=true", "", []string{clientHeader}}
	before := map[string]string{"p.rego": "package p\ndefault x := 1\ny := 1\n# METADATA\n# entrypoint: true\nz := y", "data.json": `{"l": [1], "o": 1}`}
	s := start(t, before, func(c *api.Config, _ *engine.Config) {
		keptOf(c, map[string]string{"p.rego": "package p\nx := 2"})
	})
	s.files = policy(map[string]string{"p.rego": "package p\ndefault x := 2\ny := count([2])", "q.rego": "package q", "data.json": `{"l": [2], "n": null}`})
	for _, target := range []string{"/policy/diff?text=true", "/policy/diff?from=serving&to=serving", "/policy/diff?from=abcd&to=disk"} {
		o.ask(s, question{"GET", target, "", nil}, http.StatusOK)
	}
	o.ask(s, dry, http.StatusOK)
	o.ask(s, question{"GET", "/policy/diff?text=perhaps", "", nil}, http.StatusBadRequest, true)
	o.ask(s, question{"GET", "/policy/diff?from=ffff", "", nil}, http.StatusNotFound)
	o.ask(s, question{"GET", "/policy/diff?to=dead", "", nil}, http.StatusUnprocessableEntity)
	s.files = policy(map[string]string{"p.rego": "package p\nx := := 2"})
	o.ask(s, question{"GET", "/policy/diff", "", nil}, http.StatusUnprocessableEntity)
	o.ask(s, dry, http.StatusInternalServerError)
	s = validateOnly(t, map[string]string{"p.rego": "package p\nx := 1"})
	o.ask(s, dry, http.StatusOK)
	s.files = policy(map[string]string{"p.rego": "package p\nx := := 2"})
	o.ask(s, dry, http.StatusBadRequest)
}

// evidence has something of everything.
func evidence() review.Evidence {
	flip := review.Flip{
		Path: "p/x", Kind: review.DenyToAllow, Input: json.RawMessage(`{"a":1}`), Before: json.RawMessage(`false`), After: json.RawMessage(`true`),
		DecisionID: "d", Time: time.Unix(1, 0),
	}
	group := review.Group{Path: "p/x", Kind: review.DenyToAllow, Cause: review.Cause{Rule: "data.p.x", File: "p.rego", Row: 2}, Count: 1, Examples: []review.Flip{flip}}
	return review.Evidence{
		Tests: &review.TestRun{Ran: 1, NotRun: 1, Failed: []review.FailedTest{{Name: "data.p.test_x", File: "p_test.rego", Row: 3, Why: "it is false"}}},
		Replay: &review.Replay{
			Records: 1, Reached: 1, Replayed: 1, NotReplayable: map[string]int{"masked": 1}, Flips: map[review.FlipKind]int{review.DenyToAllow: 1},
			Groups: []review.Group{group}, Unseen: []string{"p.rego:2"}, Slower: []review.Slower{{Path: "p/x", Factor: 2}}, Confidence: review.ConfidenceExact,
		},
		Probe:      &review.Probe{Found: []review.Flip{flip}, NeverTrue: []string{"p.rego:2"}},
		Incomplete: []string{"probe: no time"},
	}
}

// reviewed are reviews whose newest is of what serves, and which refuse or hold what else there is.
func reviewed(verdict review.Verdict) func(*api.Config, *engine.Config) {
	judge := func(s engine.Step) *review.Judgment {
		return &review.Judgment{
			Review: review.Of(s.Base, s.Candidate), Verdict: verdict, Mode: review.ModeHold, Trigger: "watch", Actor: "ann",
			Findings: []review.Finding{{Level: review.Hold, Code: "gone", Path: "data.p", Message: "it is gone", File: "p.rego", Row: 1}},
			Evidence: evidence(),
		}
	}
	return func(c *api.Config, _ *engine.Config) {
		c.Reviews = &api.Reviews{
			Last: func() *review.Judgment {
				g := c.Engine.Current()
				return judge(engine.Step{Base: g, Candidate: g})
			},
			Try: func(_ context.Context, s engine.Step) *review.Judgment { return judge(s) },
		}
	}
}

func answersToReviews(t *testing.T, o *openAPI) {
	dry := question{"POST", "/policy/reload?dry_run=true", "", clientHeaders}
	for verdict, status := range map[review.Verdict]int{review.Held: http.StatusOK, review.Refused: http.StatusInternalServerError} {
		s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, reviewed(verdict))
		s.files = policy(map[string]string{"p.rego": "package p\nx := 2"})
		o.ask(s, dry, status)
		o.ask(s, question{"GET", "/policy/review", "", nil}, http.StatusOK)
		o.ask(s, question{"GET", "/policy/status", "", nil}, http.StatusOK)
		_, answer, _ := s.request("POST", "/policy/reload?dry_run=true", "", clientHeader)
		if !strings.Contains(answer, `"status":"`+string(verdict)+`"`) || !strings.Contains(answer, `"message":"it is gone"`) {
			t.Errorf("a dry run of what is %s answers %s", verdict, answer)
		}
	}
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, func(c *api.Config, _ *engine.Config) {
		c.Reviews = &api.Reviews{Last: func() *review.Judgment { return nil }}
	})
	o.ask(s, question{"GET", "/policy/review", "", nil}, http.StatusNotFound)
}

func TestAReviewIsNotOverriddenOverTheNetwork(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, nil)
	for target, want := range map[string]int{
		"/policy/reload?override=INC-1": http.StatusForbidden, "/policy/reload?override=INC-1&dry_run=true": http.StatusForbidden,
		"/policy/reload?override=": http.StatusBadRequest, "/policy/reload?override=%20": http.StatusBadRequest, "/policy/reload?override=a%0Ab": http.StatusBadRequest,
	} {
		if status, answer, _ := s.request("POST", target, "", clientHeader); status != want {
			t.Errorf("%s: %d %s; %d was expected", target, status, answer, want)
		}
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	announced := 0
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, func(_ *api.Config, e *engine.Config) {
		e.Announcements = append(e.Announcements, engine.Announcement{Name: "count", Run: func(context.Context, engine.Report) error { announced++; return nil }})
	})
	status := func() string {
		_, answer, _ := s.request("GET", "/policy/status", "")
		return answer
	}
	before, calls := status(), announced
	for _, c := range []struct {
		text, want string
		status     int
	}{
		{"package p\nx := 2", `"status":"admitted"`, http.StatusOK},
		{"package p\nx := 1", `"same":true`, http.StatusOK},
		{"package p\nx := := 1", `"status":"refused","error":"reload failed: p.rego:2:6: rego_parse_error`, http.StatusInternalServerError},
	} {
		s.files = policy(map[string]string{"p.rego": c.text})
		code, answer, _ := s.request("POST", "/policy/reload?dry_run=true", "", clientHeader)
		if code != c.status || !strings.Contains(answer, c.want) {
			t.Errorf("%q: %d %s", c.text, code, answer)
		}
	}
	if status() != before || announced != calls {
		t.Errorf("the status is\n%s\nand was\n%s; %d announcements, and %d before", status(), before, announced, calls)
	}
	code, answer, _ := s.request("POST", "/policy/reload?dry_run=perhaps", "", clientHeader)
	if code != http.StatusBadRequest {
		t.Errorf("%d %s", code, answer)
	}
}

func TestADigestNamesTheStep(t *testing.T) {
	s := start(t, map[string]string{"p.rego": "package p\nx := 1"}, nil)
	digest := func(text string) string {
		t.Helper()
		s.files = policy(map[string]string{"p.rego": text})
		_, answer, _ := s.request("POST", "/policy/reload?dry_run=true", "", clientHeader)
		var dry api.DryRunAnswer
		if err := json.Unmarshal([]byte(answer), &dry); err != nil || dry.Digest == "" {
			t.Fatalf("%s: %v", answer, err)
		}
		return dry.Digest
	}
	first := digest("package p\nx := 2")
	if again := digest("package p\nx := 2"); again != first {
		t.Errorf("%s, and %s before", again, first)
	}
	if other := digest("package p\nx := 3"); other == first {
		t.Error("another candidate has the same digest")
	}
}
