package recorder_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/api/decisionlog"
	"defenseclaw/api/internal/decision"
	"defenseclaw/api/recorder"
	"defenseclaw/engine"
	"defenseclaw/engine/review/records"
)

const policy = `package app

default allow := false

allow if input.user == "alice"

allow if {
	input.user == "bob"
	input.method == "GET"
}

dice := rand.intn("x", 6)

when := time.now_ns()

early if time.now_ns() < 10

conflict := x if some x in [1, 2]

broken := 1 / input.zero

echo := input.n
`

func load(t testing.TB, files map[string]string) *engine.Generation {
	t.Helper()
	dir := fstest.MapFS{}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	g, err := engine.Load(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// config cleans by a decision log of its default settings. now is the generation that serves; nil: none does.
func config(now func() *engine.Generation) recorder.Config {
	c := decisionlog.NewCleaner(decisionlog.Config{}, engine.Path{"system", "record", "drop"})
	return recorder.Config{Clean: c.Clean, Masks: c.Asks, Current: now}
}

// running is a recorder that runs until it is stopped, or the test ends.
type running struct {
	*recorder.Recorder
	t    testing.TB
	stop func()
}

func run(t testing.TB, cfg recorder.Config) *running {
	t.Helper()
	r, err := recorder.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &running{r, t, stop}
}

func pathOf(t testing.TB, text string) engine.Path {
	t.Helper()
	p, err := engine.ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// decide makes a decision as the routes of OPA's API do: from text to text.
func (r *running) decide(g *engine.Generation, path, input string) {
	r.t.Helper()
	p := pathOf(r.t, path)
	q := decision.Question{ID: "an-id", Path: p, Lenient: true}
	if input != "" {
		in, err := g.ReadInput(p, []byte(input))
		if err != nil {
			r.t.Fatal(err)
		}
		q.Input = in
	}
	pending := r.Begin(g, q, time.Now())
	text, defined, err := g.AppendDecisionLenient(r.t.Context(), nil, p, q.Input)
	pending.End(decision.Answer{Text: text, Defined: defined, Err: err})
	clear(text) // the buffer is another's
}

// decideStrictly makes a decision as domains do.
func (r *running) decideStrictly(g *engine.Generation, path string, input any) {
	r.t.Helper()
	in, err := engine.PlainInput(input)
	if err != nil {
		r.t.Fatal(err)
	}
	p := pathOf(r.t, path)
	pending := r.Begin(g, decision.Question{Path: p, Input: in}, time.Now())
	result, defined, err := g.DecideInput(r.t.Context(), p, in)
	pending.End(decision.Answer{Result: result, Defined: defined, Err: err})
}

// snapshot is what is held once nothing waits any more.
func (r *running) snapshot() records.Snapshot {
	r.t.Helper()
	r.settled()
	all, err := r.Snapshot(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// settled waits until what was taken is kept or dropped.
func (r *running) settled() {
	r.t.Helper()
	eventually(r.t, "nothing waits", r.Idle)
}

func eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if happened() {
			return
		}
	}
	t.Fatalf("timeout waiting until %s", what)
}

func byPath(all records.Snapshot) map[string][]records.Record {
	found := map[string][]records.Record{}
	for _, r := range all.Records {
		found[r.Path] = append(found[r.Path], r)
	}
	return found
}

func fileIn(dir string) string { return filepath.Join(dir, recorder.FileName) }
