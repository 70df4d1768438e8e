package engine

import (
	"context"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"defenseclaw/engine/internal/eval"

	"github.com/open-policy-agent/opa/v1/ast"
)

func TestAHotPathGetsASecondTierInEachGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := fstest.MapFS{
			"p.rego":    {Data: []byte("package p\nallow if data.users[input.user].admin")},
			"data.json": {Data: []byte(`{"users": {"alice": {"admin": true}}}`)},
		}
		e, err := New(Config{Source: func() (fs.FS, error) { return files, nil }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		path, alice, bob := Path{"p", "allow"}, ast.MustParseTerm(`{"user": "alice"}`).Value, ast.MustParseTerm(`{"user": "bob"}`).Value
		ask := func(input ast.Value, want bool) {
			t.Helper()
			if v, err := e.Current().Evaluate(ctx, path, input); err != nil || (v != nil) != want {
				t.Fatalf("%v is %v (error %v); allowed was %v", input, v, err, want)
			}
		}
		var made []*eval.Evaluator
		e.hot.ahead = func(ctx context.Context, ev *eval.Evaluator, path eval.Path) error {
			if !ev.Hot(path) {
				return ev.Compile(ctx, path)
			}
			made = append(made, ev)
			return ev.Ahead(ctx, path)
		}
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		second := func() bool {
			synctest.Wait()
			return slices.Contains(made, e.Current().evaluator)
		}
		load := func() {
			t.Helper()
			if _, err := e.Reload(ctx, Trigger{Kind: TriggerAPI}); err != nil {
				t.Fatal(err)
			}
		}
		load()
		for range eval.HotAfter - 1 {
			ask(alice, true)
		}
		if second() {
			t.Error("a second tier was made before it was worth it")
		}
		ask(bob, false)
		if !second() {
			t.Error("no second tier was made")
		}
		ask(alice, true)
		ask(bob, false)
		files["data.json"] = &fstest.MapFile{Data: []byte(`{"users": {"bob": {"admin": true}}}`)}
		load()
		if second() {
			t.Error("a new generation begins with a second tier")
		}
		ask(alice, false)
		ask(bob, true)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestDecisionsAndSecondTiersDoNotDisturbEachOther(t *testing.T) {
	w := &wild{files: map[string]string{
		"data.json": foreseeableData[0],
		"p.rego":    "package p\ndefault r := false\nr if { some role in data.users[input.a].roles; role == input.b }\nq if not r\ns contains x if { some x in data.list; x != input.a }",
	}}
	g, err := Load(t.Context(), w.fs(), nil)
	if err != nil {
		t.Fatal(err)
	}
	input := ast.MustParseTerm(`{"a": "alice", "b": "dev"}`).Value
	paths := []Path{{"p", "r"}, {"p", "q"}, {"p", "s"}, {"p"}}
	want := map[string]string{"data.p.r": "true", "data.p.q": "<nil>", "data.p.s": `{null, 1, "dev"}`, "data.p": `{"r": true, "s": {null, 1, "dev"}}`}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range 400 {
				path := paths[i%len(paths)]
				v, err := g.Evaluate(t.Context(), path, input)
				got := "<nil>"
				if v != nil {
					got = v.String()
				}
				if err != nil || got != want[path.String()] {
					t.Errorf("%s is %s, not %s (error %v)", path, got, want[path.String()], err)
					return
				}
			}
		})
	}
	for range 5 {
		for _, path := range paths[:3] {
			if err := g.evaluator.Ahead(t.Context(), eval.Path(path)); err != nil {
				t.Error(err)
			}
		}
	}
	group.Wait()
}
