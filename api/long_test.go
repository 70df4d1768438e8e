package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/engine/review"

	"github.com/tmaxmax/go-sse"
)

// longRoutes are those that answer with events.
var longRoutes = []question{
	{"GET", "/policy/diff?text=true", "", nil},
	{"GET", "/policy/diff?with=replay,probe", "", nil},
	{"GET", "/policy/coverage", "", nil},
	{"POST", "/policy/replay", "", []string{clientHeader}},
	{"POST", "/policy/replay", `{"read":"by nobody"}`, []string{clientHeader}},
	{"GET", "/policy/diff?from=ffff", "", nil},
	{"GET", "/policy/diff?with=all", "", nil},
	{"GET", "/policy/coverage?file=none.rego", "", nil},
	{"POST", "/policy/replay?to=held", "", []string{clientHeader}},
}

const wantsEvents = "Accept: text/event-stream"

// The last event is what would have been answered without events.
func TestTheLastEventIsTheAnswer(t *testing.T) {
	s := start(t, map[string]string{"p.rego": limited}, func(c *api.Config, e *engine.Config) {
		c.Recorder = recordingOf(t)
		replaying(c, e)
	})
	same := func(q question, label string) {
		t.Helper()
		status, plain, _ := s.request(q.method, q.target, q.body, append(clientHeaders, q.headers...)...)
		streamed, text, h := s.request(q.method, q.target, q.body, append(append(clientHeaders, wantsEvents), q.headers...)...)
		if streamed != http.StatusOK || h.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%s %s: %d %s", label, q.target, streamed, text)
		}
		var all []sse.Event
		for e, err := range sse.Read(strings.NewReader(text+"\n\n"), &sse.ReadConfig{MaxEventSize: 1 << 24}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
		if len(all) < 2 || all[0].Type != "progress" {
			t.Fatalf("%s %s: %s", label, q.target, text)
		}
		last := all[len(all)-1]
		data := last.Data
		if status != http.StatusOK {
			var failed api.FailedWork
			if err := json.Unmarshal([]byte(data), &failed); err != nil || last.Type != "error" || failed.Status != status {
				t.Errorf("%s %s: %s %s; want an error with %d", label, q.target, last.Type, data, status)
			}
			data = string(failed.Body)
		} else if last.Type != "result" {
			t.Errorf("%s %s: %s", label, q.target, text)
		}
		var want bytes.Buffer
		if err := json.Compact(&want, []byte(plain)); err != nil {
			t.Fatal(err)
		}
		if data != want.String() {
			t.Errorf("%s %s: %s; without events: %s", label, q.target, data, plain)
		}
	}
	s.files = policy(map[string]string{"p.rego": strings.Replace(limited, "< 5", "< 1", 1)})
	for _, q := range longRoutes {
		same(q, "sound")
	}
	s.files = policy(map[string]string{"p.rego": "package p\nx := := 2"})
	same(question{"GET", "/policy/diff", "", nil}, "broken")

	// A caller that the gate refuses gets no stream, and HEAD has no events.
	s.expect("POST", "/policy/replay", "", http.StatusForbidden, "", wantsEvents)
	if _, _, h := s.request("HEAD", "/policy/coverage", "", wantsEvents); h.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: %v", h)
	}
}

// work is an evaluation that goes on until it is told to end, or nobody waits for it.
type work struct {
	begun chan func(review.Progress)
	end   chan struct{}
	why   chan error
}

func (w *work) evaluate(ctx context.Context, _, _ *engine.Generation, _ []string) review.Evidence {
	w.begun <- review.ProgressOf(ctx)
	select {
	case <-w.end:
	case <-ctx.Done():
	}
	w.why <- ctx.Err()
	return review.Evidence{Coverage: &review.Coverage{}, Replay: &review.Replay{}}
}

func startWork(t *testing.T) (*sidecar, *work) {
	t.Helper()
	w := &work{make(chan func(review.Progress)), make(chan struct{}), make(chan error, 1)}
	return start(t, map[string]string{"p.rego": limited}, func(c *api.Config, _ *engine.Config) {
		c.Recorder, c.Evaluate = recordingOf(t), w.evaluate
	}), w
}

func (s *sidecar) ask(ctx context.Context, q question, headers ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, q.method, "http://"+s.addr+q.target, strings.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	for _, header := range append(append([]string{"Authorization: Bearer " + token, "Content-Type: application/json"}, q.headers...), headers...) {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	return http.DefaultClient.Do(r)
}

// Work tells how far it is while it is made.
func TestWorkTellsHowFarItIs(t *testing.T) {
	for _, q := range longRoutes[1:4] {
		s, w := startWork(t)
		response, err := s.ask(t.Context(), q, wantsEvents)
		if err != nil {
			t.Fatal(err)
		}
		told := <-w.begun
		told(review.Progress{Step: "replay", Done: 3, Total: 7})
		seen := false
		for e, err := range sse.Read(response.Body, nil) {
			if err != nil {
				t.Fatal(err)
			}
			var p api.Progress
			switch {
			case e.Type == "result":
				if !seen {
					t.Error("it is over, and never told")
				}
			case json.Unmarshal([]byte(e.Data), &p) != nil || e.Type != "progress":
				t.Errorf("%+v", e)
			case p.Step == "replay" && p.Done == 3 && p.Total == 7 && !seen:
				seen = true
				close(w.end)
			}
		}
		_ = response.Body.Close()
	}
}

// Who leaves ends the work, with events and without.
func TestWorkEndsWhenItsCallerLeaves(t *testing.T) {
	s, w := startWork(t)
	for _, q := range longRoutes[1:5] {
		for _, headers := range [][]string{nil, {wantsEvents}} {
			ctx, leave := context.WithCancel(t.Context())
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				if response, err := s.ask(ctx, q, headers...); err == nil {
					_ = response.Body.Close()
				}
			}()
			<-w.begun
			leave()
			if err := <-w.why; err == nil {
				t.Errorf("%s %s %v: the work was not told to end", q.method, q.target, headers)
			}
			<-gone
		}
	}
}
