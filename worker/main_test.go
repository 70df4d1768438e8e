package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/enginetest"
	"defenseclaw/worker"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/goleak"
)

// sidecarVariable makes the test binary a sidecar that does nothing but keep a worker.
const sidecarVariable = "WORKER_TEST_SIDECAR"

func TestMain(m *testing.M) {
	switch {
	case worker.Asked():
		if err := worker.Serve(handler); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case os.Getenv(sidecarVariable) != "":
		sidecarProcess()
	default:
		goleak.VerifyTestMain(m)
	}
}

// patience is how long something may take; it only matters when it does not happen.
const patience = 30 * time.Second

// handler is what the workers of these tests do. A policy that does the same would be a fault of OPA's.
func handler(g *engine.Generation) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/revision", func(w http.ResponseWriter, _ *http.Request) {
		value, err := g.Evaluate(context.Background(), engine.Path{"p", "x"}, nil)
		fmt.Fprint(w, g.Number(), " ", g.Revision(), " ", value, " ", err)
	})
	mux.HandleFunc("/environment", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(os.Environ()) })
	mux.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("/overflow", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, overflow(0)) })
	mux.HandleFunc("/memory", func(w http.ResponseWriter, _ *http.Request) {
		var all [][]byte
		for range 1 << 10 {
			block := make([]byte, 1<<20)
			for i := range block {
				block[i] = 1
			}
			all = append(all, block)
		}
		fmt.Fprint(w, len(all))
	})
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { select {} })
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(3) })
	var waiting atomic.Int64
	mux.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) {
		waiting.Add(1)
		defer waiting.Add(-1)
		<-r.Context().Done()
		fmt.Fprint(w, "waited")
	})
	mux.HandleFunc("/waiting", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, waiting.Load()) })
	return mux
}

func overflow(depth int) int {
	var frame [1 << 10]int
	frame[depth%len(frame)] = depth
	if depth >= 0 { // always
		frame[0] = overflow(depth + 1)
	}
	return frame[0]
}

// pool is a running pool, with an engine whose policy can be edited.
type pool struct {
	t *testing.T
	*worker.Pool
	engine *engine.Engine
	files  fstest.MapFS

	mu    sync.Mutex
	ended []worker.Ended
}

func start(t *testing.T, change func(*worker.Config)) *pool {
	t.Helper()
	p := &pool{t: t, files: fstest.MapFS{"p.rego": {Data: []byte("package p\nx := data.n")}, "data.json": {Data: []byte(`{"n":1}`)}}}
	p.engine = newEngine(t, p.files)
	p.edit("1")
	cfg := worker.Config{Current: p.engine.Current, Decisions: 4, Ended: func(e worker.Ended) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ended = append(p.ended, e)
	}}
	if change != nil {
		change(&cfg)
	}
	var err error
	if p.Pool, err = worker.New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

func newEngine(t *testing.T, files fstest.MapFS) *engine.Engine {
	t.Helper()
	e := enginetest.New(t, engine.Config{Source: sourceOf(files)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return e
}

// edit makes a new generation in which data.n is n.
func (p *pool) edit(n string) *engine.Generation {
	p.t.Helper()
	p.files["data.json"] = &fstest.MapFile{Data: []byte(`{"n":` + n + `}`)}
	if _, err := p.engine.Reload(context.Background(), engine.Trigger{Kind: engine.TriggerAPI}); err != nil {
		p.t.Fatal(err)
	}
	return p.engine.Current()
}

// askBy asks a generation, within patience unless the deadline is shorter.
func (p *pool) askBy(g *engine.Generation, target string, deadline time.Duration) (string, error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	response, err := p.RoundTrip(g, httptest.NewRequest(http.MethodGet, target, nil).WithContext(ctx))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

func (p *pool) ask(target string) (string, error) {
	p.t.Helper()
	return p.askBy(p.engine.Current(), target, patience)
}

// eventually waits until two processes are ready, and whatever else is true.
func (p *pool) eventually(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("within %s: not %s; health %+v, ended %+v", patience, what, p.Health(), p.ends())
		}
	}
}

func (p *pool) bothReady() {
	p.t.Helper()
	p.eventually("two processes", func() bool { return p.Health().Processes == 2 })
}

// underWay has a question that waits under way while f is called, and returns its error.
func (p *pool) underWay(f func()) error {
	p.t.Helper()
	ended := make(chan error)
	go func() {
		_, err := p.ask("/wait")
		ended <- err
	}()
	p.eventually("under way", func() bool { n, err := p.ask("/waiting"); return err == nil && n == "1" })
	f()
	return <-ended
}

type workerConfig = worker.Config

func text(t *testing.T, g *engine.Generation, v ast.Value) string {
	t.Helper()
	b, err := g.AppendJSON(nil, v)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func (p *pool) ends() []worker.Ended {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.ended)
}
