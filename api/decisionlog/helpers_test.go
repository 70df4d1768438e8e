package decisionlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/api/decisionlog"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

func load(t testing.TB, files map[string]string) *engine.Generation {
	t.Helper()
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	g, err := engine.Load(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// buffer is a console that tests can read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) lines(t testing.TB) (events []map[string]any) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	return parseLines(t, b.b.String())
}

func parseLines(t testing.TB, text string) (events []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		events = append(events, e)
	}
	return events
}

// running is a log that runs until it is stopped, or the test ends.
type running struct {
	*decisionlog.Log
	t    testing.TB
	stop func() error
}

func run(t testing.TB, cfg decisionlog.Config) *running {
	t.Helper()
	l, err := decisionlog.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	r := &running{Log: l, t: t}
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = r.stop() })
	return r
}

// stopped stops the log, which writes all that waits.
func (r *running) stopped() {
	r.t.Helper()
	if err := r.stop(); err != nil {
		r.t.Fatal(err)
	}
}

// decide makes a decision by g and logs it, as the server does.
func decide(t testing.TB, l *decisionlog.Log, g *engine.Generation, path, input string) {
	t.Helper()
	p, err := engine.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	q := decision.Question{ID: "an-id", Path: p}
	if input != "" {
		value, err := ast.ValueFromReader(strings.NewReader(input))
		if err != nil {
			t.Fatal(err)
		}
		q.Input = engine.InputOf(value)
	}
	end := l.Begin(t.Context(), g, q)
	result, defined, err := g.Decide(t.Context(), p, q.Input.Value())
	end(decision.Answer{Result: result, Defined: defined, Err: err})
}

// one is the only event of one decision.
func one(t testing.TB, files map[string]string, path, input string) map[string]any {
	t.Helper()
	events, dropped := all(t, files, path, input)
	if len(events) != 1 {
		t.Fatalf("%d events, dropped %v", len(events), dropped)
	}
	return events[0]
}

func all(t testing.TB, files map[string]string, path, input string) ([]map[string]any, map[string]uint64) {
	t.Helper()
	var console buffer
	l := run(t, decisionlog.Config{Console: &console})
	decide(t, l.Log, load(t, files), path, input)
	l.stopped()
	return console.lines(t), l.Health().Dropped
}

func text(t testing.TB, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eventually waits for what must happen.
func eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if happened() {
			return
		}
	}
	t.Fatalf("timeout waiting until %s", what)
}
