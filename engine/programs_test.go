package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"defenseclaw/engine/corpus"
	"defenseclaw/engine/internal/eval"

	"github.com/open-policy-agent/opa/v1/ast"
	"pgregory.net/rapid"
)

// decideTwice decides by OPA's evaluator alone, then by a program where there is one, in both modes.
func decideTwice(t *rapid.T, g *Generation, path Path, input ast.Value) {
	modes := map[string]func() (ast.Value, error){
		"strict":  func() (ast.Value, error) { return g.Evaluate(t.Context(), path, input) },
		"lenient": func() (ast.Value, error) { return g.EvaluateLenient(t.Context(), path, input) },
	}
	type answer struct {
		value ast.Value
		err   error
	}
	before := map[string]answer{}
	for mode, decide := range modes {
		v, err := decide()
		before[mode] = answer{v, err}
	}
	if err := g.evaluator.Compile(t.Context(), eval.Path(path)); err != nil {
		return // a plan that OPA does not make
	}
	for range 2 { // the second time finds what the first kept
		for mode, decide := range modes {
			after, err := decide()
			if want := before[mode]; fmt.Sprint(want.err) != fmt.Sprint(err) {
				t.Fatalf("%s of %v, %s: error %v, by a program %v", path, input, mode, want.err, err)
			} else if !sameText(want.value, after) {
				t.Fatalf("%s of %v, %s, is %v, by a program %v", path, input, mode, want.value, after)
			}
		}
	}
}

func sameText(a, b ast.Value) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Compare(b) == 0 && a.String() == b.String())
}

func TestProgramsDecideRandomPoliciesAsOPAsEvaluatorDoes(t *testing.T) {
	loaded, programs := 0, uint64(0)
	rapid.Check(t, func(t *rapid.T) {
		w := newWild(t)
		if w.oneIn(2) {
			w.files["data.json"] = w.one(wildData)
		}
		g, err := Load(t.Context(), w.fs(), nil)
		if err != nil {
			if refused := new(Refused); !errors.As(err, &refused) {
				t.Fatal(err)
			}
			return
		}
		loaded++
		input := []ast.Value{
			nil, ast.MustParseTerm(`{"x": 1, "list": [1, 2, "a"], "y": "b"}`).Value, ast.MustParseTerm(`{"x": "one", "y": {"b": 1}}`).Value,
		}[w.intn(3)]
		for _, pkg := range wildPackages {
			for _, name := range append([]string{""}, wildNames...) {
				path := Path(strings.Split(pkg, "."))
				if name != "" {
					path = append(path, name)
				}
				decideTwice(t, g, path, input)
			}
		}
		for _, way := range g.Ways() {
			programs += way.ByProgram - way.Asked
		}
	})
	t.Logf("%d corpora, %d decisions by programs", loaded, programs)
}

// BenchmarkEvaluate is one decision by OPA's evaluator and by a program, on a small policy and on one that walks much data.
func BenchmarkEvaluate(b *testing.B) {
	for _, p := range []struct {
		name string
		make func() (map[string]string, []corpus.Question)
	}{{"Small", corpus.Small}, {"Walk1MB", func() (map[string]string, []corpus.Question) { return corpus.Grants(1 << 20) }}} {
		files, questions := p.make()
		g, err := Load(b.Context(), (&wild{files: files}).fs(), nil)
		if err != nil {
			b.Fatal(err)
		}
		path, err := ParsePath(questions[0].Path)
		if err != nil {
			b.Fatal(err)
		}
		decide := func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				q := questions[i%len(questions)]
				input, err := ParseJSON([]byte(q.Input))
				if err != nil {
					b.Fatal(err)
				}
				if v, err := g.Evaluate(b.Context(), path, input); err != nil || v.String() != q.Result {
					b.Fatalf("%s of %s is %v, not %s (error %v)", q.Path, q.Input, v, q.Result, err)
				}
			}
		}
		b.Run(p.name+"/OPA", decide)
		if err := g.evaluator.Compile(b.Context(), eval.Path(path)); err != nil {
			b.Fatal(err)
		}
		b.Run(p.name+"/Program", decide)
	}
}
