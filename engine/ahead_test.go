package engine

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"defenseclaw/engine/internal/eval"

	"github.com/open-policy-agent/opa/v1/ast"
)

// served is an engine that runs, and serves files that a test changes.
type served struct {
	*Engine

	files fstest.MapFS
}

func serve(t *testing.T, files fstest.MapFS) *served {
	t.Helper()
	s := &served{files: files}
	e, err := New(Config{Source: func() (fs.FS, error) { return s.files, nil }})
	if err != nil {
		t.Fatal(err)
	}
	s.Engine = e
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	s.reload(t)
	return s
}

func (s *served) reload(t *testing.T) {
	t.Helper()
	if _, err := s.Reload(t.Context(), Trigger{Kind: TriggerAPI}); err != nil {
		t.Fatal(err)
	}
}

// wayOf says how a path is decided.
func wayOf(g *Generation, path Path) Way {
	for _, w := range g.Ways() {
		if w.Path.String() == path.String() {
			return w
		}
	}
	return Way{}
}

func TestAHotPathGetsAProgramWhichTheNextGenerationTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, fstest.MapFS{
			"p.rego":    {Data: []byte("package p\nallow if data.users[input.user].admin")},
			"data.json": {Data: []byte(`{"users": {"alice": {"admin": true}}}`)},
		})
		path, alice, bob := Path{"p", "allow"}, ast.MustParseTerm(`{"user": "alice"}`).Value, ast.MustParseTerm(`{"user": "bob"}`).Value
		ask := func(input ast.Value, want bool) {
			t.Helper()
			if v, err := s.Current().Evaluate(t.Context(), path, input); err != nil || (v != nil) != want {
				t.Fatalf("%v is %v (error %v); allowed was %v", input, v, err, want)
			}
		}
		for range eval.ProgramAfter - 1 {
			ask(alice, true)
		}
		synctest.Wait()
		if wayOf(s.Current(), path).Program {
			t.Error("a program was made before it was worth it")
		}
		ask(bob, false)
		synctest.Wait()
		if w := wayOf(s.Current(), path); !w.Program {
			t.Errorf("no program was made: %s", w.Why)
		}
		ask(alice, true)
		ask(bob, false)
		s.files = fstest.MapFS{"p.rego": s.files["p.rego"], "data.json": {Data: []byte(`{"users": {"bob": {"admin": true}}}`)}}
		s.reload(t)
		synctest.Wait()
		if w := wayOf(s.Current(), path); !w.Program || w.ByProgram != 0 {
			t.Errorf("the new generation decides so: %+v", w)
		}
		ask(alice, false)
		ask(bob, true)
		if w := wayOf(s.Current(), path); w.ByProgram != 2 || w.Asked != 0 {
			t.Errorf("the decisions were made so: %+v", w)
		}
	})
}

// TestDecisionsDuringReloadsAreMadeByPrograms is for the race detector: policy and data carry one number, which callers see
// while programs are made, taken over with other data and compiled anew.
func TestDecisionsDuringReloadsAreMadeByPrograms(t *testing.T) {
	at := func(n int) fstest.MapFS {
		return fstest.MapFS{
			"p.rego":    {Data: fmt.Appendf(nil, "package p\nn := %d\nx := [n, data.n, data.q.list[input.i], count(kept)]\nkept contains y if some y in data.list", n/2)},
			"q.rego":    {Data: []byte("package q\nlist := [y | some y in data.list]")},
			"data.json": {Data: fmt.Appendf(nil, `{"n": %d, "list": [%[1]d, 1, 2]}`, n)},
		}
	}
	s := serve(t, at(0))
	input, path := ast.MustParseTerm(`{"i": 0}`).Value, Path{"p", "x"}
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v, err := s.Current().Evaluate(t.Context(), path, input)
				if err != nil || v == nil {
					t.Errorf("%v, %v", v, err)
					return
				}
				list := v.(*ast.Array)
				policy, _ := list.Elem(0).Value.(ast.Number).Int()
				data, _ := list.Elem(1).Value.(ast.Number).Int()
				if policy != data/2 || list.Elem(1).Value.Compare(list.Elem(2).Value) != 0 {
					t.Errorf("a decision saw %v", v)
					return
				}
			}
		})
	}
	for n := 1; n < 40 && !t.Failed(); n++ {
		s.files = at(n)
		s.reload(t)
		// Every other generation is followed at once, while its programs are made.
		for n%2 == 0 && wayOf(s.Current(), path).ByProgram == 0 && !t.Failed() {
			runtime.Gosched()
		}
	}
	close(stop)
	group.Wait()
}
