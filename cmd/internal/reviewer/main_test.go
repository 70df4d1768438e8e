package reviewer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/cmd/internal/reviewer"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"

	"go.uber.org/goleak"
)

// sidecarVariable makes the test binary a sidecar that does nothing but keep a reviewer.
const sidecarVariable = "REVIEWER_TEST_SIDECAR"

func TestMain(m *testing.M) {
	switch {
	case reviewer.Asked():
		if err := reviewer.Serve(steps()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case os.Getenv(sidecarVariable) != "":
		sidecarProcess()
	case os.Getenv(serverVariable) != "":
		serverProcess(os.Getenv(serverVariable))
	default:
		goleak.VerifyTestMain(m)
	}
}

// patience is how long something may take; it only matters when it does not happen.
const patience = 30 * time.Second

// steps are the steps of these tests, which say what they see, and do what data.<step> of the candidate says. Without a
// package p in it, they are those of the program.
func steps() []reviewer.Step {
	var all []reviewer.Step
	for _, name := range []string{reviewer.Tests, reviewer.Replay, reviewer.Probe, reviewer.Coverage} {
		all = append(all, reviewer.Step{Name: name, Run: func(ctx context.Context, w *reviewer.Work, e *review.Evidence) error {
			if i := slices.IndexFunc(reviewer.Steps(), func(s reviewer.Step) bool { return s.Name == name }); i >= 0 && !w.Candidate.HasPackage(engine.Path{"p"}) {
				return reviewer.Steps()[i].Run(ctx, w, e)
			}
			v, err := w.Candidate.Evaluate(context.Background(), engine.Path{name}, nil)
			if err != nil {
				return err
			}
			said := seen(ctx, w)
			if v != nil {
				if err := behave(ctx, strings.Trim(v.String(), `"`)); err != nil {
					return err
				}
			}
			switch name {
			case reviewer.Tests:
				e.Tests = &review.TestRun{Ran: len(w.Records), Failed: []review.FailedTest{{Why: said}}}
			case reviewer.Replay:
				e.Replay = &review.Replay{Records: len(w.Records), Unseen: []string{said}, Flips: map[review.FlipKind]int{review.DenyToAllow: 1}}
			default:
				e.Probe = &review.Probe{Found: []review.Flip{{Before: json.RawMessage("null")}}, NeverTrue: []string{said}}
			}
			return nil
		}})
	}
	return all
}

// seen is what the tests compare with: the document data.x of both policies, and the environment.
func seen(_ context.Context, w *reviewer.Work) string {
	said := ""
	for _, g := range []*engine.Generation{w.Base, w.Candidate} {
		if g != nil {
			v, err := g.Evaluate(context.Background(), engine.Path{"p", "x"}, nil)
			said += fmt.Sprint(v, err, " ")
		}
	}
	return said + strings.Join(os.Environ(), " ")
}

func behave(ctx context.Context, how string) error {
	switch how {
	case "fail":
		return errors.New("as it was told")
	case "panic":
		panic("as it was told")
	case "exit":
		os.Exit(3)
	case "kill":
		killSelf()
	case "stop":
		stopSelf()
		select {} // the signal may come a moment later
	case "hang": // whatever its context says
		select {}
	case "wait":
		<-ctx.Done()
	case "memory":
		var all [][]byte
		for range 1 << 10 {
			block := make([]byte, 1<<20)
			for i := range block {
				block[i] = 1
			}
			all = append(all, block)
		}
		return fmt.Errorf("%d megabytes", len(all))
	}
	return nil
}

// running is a reviewer that runs.
type running struct {
	*reviewer.Reviewer
	t *testing.T

	mu    sync.Mutex
	ended []reviewer.Ended
}

func start(t *testing.T, change func(*reviewer.Config)) *running {
	t.Helper()
	r := &running{t: t}
	cfg := reviewer.Config{Steps: steps(), Ended: func(e reviewer.Ended) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended = append(r.ended, e)
	}}
	if change != nil {
		change(&cfg)
	}
	r.Reviewer = reviewer.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *running) ends() []reviewer.Ended {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ended)
}

func (r *running) eventually(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("within %s: not %s; health %+v, ended %+v", patience, what, r.Health(), r.ends())
		}
	}
}

// review reviews all steps of a change from x = 1 to a candidate with the given data.
func (r *running) review(data string, ask ...string) review.Evidence {
	r.t.Helper()
	return r.reviewIn(patience, data, ask...)
}

func (r *running) reviewIn(d time.Duration, data string, ask ...string) review.Evidence {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if len(ask) == 0 {
		ask = []string{reviewer.Tests, reviewer.Replay, reviewer.Probe}
	}
	base := load(r.t, `{}`, nil)
	return r.Review(ctx, base, load(r.t, data, base), reviewer.Ask{Steps: ask, Records: some(1200)})
}

func some(n int) []records.Record {
	all := make([]records.Record, n)
	for i := range all {
		all[i] = records.Record{DecisionID: fmt.Sprint(i), Path: "p/x", Input: json.RawMessage(`{"n":1}`), Time: time.Now()}
	}
	return all
}

func load(t testing.TB, data string, previous *engine.Generation) *engine.Generation {
	t.Helper()
	x := "1"
	if previous != nil {
		x = "2"
	}
	g, err := engine.Load(context.Background(), fstest.MapFS{
		"p.rego": {Data: []byte("package p\nx := " + x)}, "same.rego": {Data: []byte("package same\ny := 1")}, "data.json": {Data: []byte(data)},
	}, previous)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
