package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"defenseclaw/engine/corpus"

	"github.com/open-policy-agent/opa/v1/ast"
	"pgregory.net/rapid"
)

// BenchmarkEvaluate is one decision by each tier, on a small policy and on one that walks much data.
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
		b.Run(p.name+"/First", decide)
		b.Run(p.name+"/MakeSecond", func(b *testing.B) {
			for b.Loop() {
				if err := g.evaluatePartially(b.Context(), path); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(p.name+"/Second", decide)
	}
}

var _ = fmt.Sprint
var _ = errors.New
var _ = strings.Cut
var _ = ast.Var("")
var _ rapid.TB
