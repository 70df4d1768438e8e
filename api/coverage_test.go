package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"testing"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/replay"
)

// covering has the recorded decisions of the server's own recorder made again. evaluated counts how often; nil: it does not.
func covering(t testing.TB, evaluated *int) func(*api.Config, *engine.Config) {
	t.Helper()
	recording := recordingOf(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- recording.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func(c *api.Config, _ *engine.Config) {
		c.Recorder = recording
		c.Evaluate = func(ctx context.Context, _, candidate *engine.Generation, _ []string) (e review.Evidence) {
			var kept records.Snapshot
			kept, err := recording.Snapshot(ctx)
			if err != nil {
				return review.Evidence{Incomplete: []string{err.Error()}}
			}
			if evaluated != nil {
				*evaluated++
			}
			e.Coverage, _ = replay.Cover(ctx, candidate, kept.Records, replay.Options{})
			return e
		}
	}
}

func coverageOf(t *testing.T, s *sidecar, query string) (a api.CoverageAnswer) {
	t.Helper()
	status, answer, _ := s.request("GET", "/policy/coverage?"+query, "")
	if err := json.Unmarshal([]byte(answer), &a); err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s", query, status, answer)
	}
	return a
}

const twoConditions = "package p\n\nallow if {\n\tinput.role == \"admin\"\n\tinput.size < 3\n\tinput.x\n}\n\nnever := 1\n"

// What is asked for is reached, and what is not is missed, until somebody asks.
func TestCoverageIsOfTheDecisionsThatWereMade(t *testing.T) {
	evaluated := 0
	s := start(t, map[string]string{"p.rego": twoConditions, "q.rego": "package q\nx := 1\n", "r.rego": "package r\n"}, covering(t, &evaluated))
	if a := coverageOf(t, s, ""); a.Records != 0 || a.Reached != 0 || a.Lines != 6 || len(a.Files) != 3 || len(a.Files[0].Missed) != 2 {
		t.Errorf("before the first decision: %+v", a)
	}
	s.expect("POST", "/v1/data/p/allow", `{"input":{"role":"guest"}}`, http.StatusOK, "")
	recordingsUntil(t, s, "one is recorded", func(a api.RecordingsAnswer) bool { return a.Seen == 1 })

	// What was made is good for some time, and never for another policy.
	if a := coverageOf(t, s, ""); a.Records != 0 || evaluated != 1 {
		t.Errorf("at once: %+v, evaluated %d times", a, evaluated)
	}
	s.files = policy(map[string]string{"p.rego": twoConditions + "# more\n", "q.rego": "package q\nx := 1\n"})
	s.expect("POST", "/policy/reload", "", http.StatusOK, "", clientHeader)
	want := api.FileCoverage{Path: "p.rego", Lines: 5, Reached: [][2]int{{3, 4}}, Missed: [][2]int{{5, 6}, {9, 9}}, NoValue: []int{3}}
	a := coverageOf(t, s, "file=p.rego")
	if a.Evaluated != 1 || a.Reached != 2 || a.Lines != 6 || a.Matching != 1 || len(a.Files) != 1 || !reflect.DeepEqual(a.Files[0], want) {
		t.Errorf("a guest asked: %+v; want %+v", a, want)
	}
	if a := coverageOf(t, s, "missed=true&limit=1"); a.Matching != 2 || len(a.Files) != 1 || a.Next != "p.rego" || evaluated != 2 {
		t.Errorf("a page: %+v, evaluated %d times", a, evaluated)
	}
	if a := coverageOf(t, s, "missed=true&limit=1&after=p.rego"); a.Matching != 2 || len(a.Files) != 1 || a.Files[0].Path != "q.rego" || a.Next != "" {
		t.Errorf("the next page: %+v", a)
	}
}

func TestCoverageSaysWhyThereIsNone(t *testing.T) {
	s := start(t, map[string]string{"p.rego": twoConditions}, nil)
	s.expect("GET", "/policy/coverage", "", http.StatusServiceUnavailable, "record.enabled is false")
	s = start(t, map[string]string{"p.rego": twoConditions}, func(c *api.Config, e *engine.Config) {
		covering(t, nil)(c, e)
		c.Evaluate = func(context.Context, *engine.Generation, *engine.Generation, []string) review.Evidence {
			return review.Evidence{Incomplete: []string{"coverage: the reviewer ended"}}
		}
	})
	s.expect("GET", "/policy/coverage", "", http.StatusServiceUnavailable, "the reviewer ended")
}

// Whoever comes while coverage is made waits for it, and none makes another.
func TestCallersShareOneCoverage(t *testing.T) {
	evaluated := 0
	s := start(t, map[string]string{"p.rego": twoConditions}, covering(t, &evaluated))
	client := &api.Client{Addr: s.addr, Token: token, AnyListener: true}
	done := make(chan error)
	for range 8 {
		go func() {
			a, err := client.Coverage(t.Context(), api.CoverageQuery{Missed: true})
			if err == nil && len(a.Files) != 1 {
				err = fmt.Errorf("%+v", a)
			}
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if evaluated != 1 {
		t.Errorf("it was made %d times", evaluated)
	}
}
