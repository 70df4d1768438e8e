package recorder

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// BenchmarkBranch names the clauses that held in an evaluation, which is a part of what is done away from a decision that
// was chosen; the evaluation with its trace is the rest.
func BenchmarkBranch(b *testing.B) {
	for _, rules := range []int{5, 50, 500} {
		policy := "package app\n\nallow if input.n == 1\n\nallow if small\n"
		for i := range rules {
			policy += fmt.Sprintf("\nrule_%d := 1 if input.never\n", i)
		}
		policy += "\nsmall if input.n < 5\n" // the last one, so that all are looked at
		g, err := engine.Load(b.Context(), fstest.MapFS{"p.rego": {Data: []byte(policy)}}, nil)
		if err != nil {
			b.Fatal(err)
		}
		input, err := g.ReadInput(engine.Path{"app", "allow"}, []byte(`{"n":3}`))
		if err != nil {
			b.Fatal(err)
		}
		evaluate := func() exits {
			seen := exits{}
			if _, err := g.Again(b.Context(), engine.Path{"app", "allow"}, input, engine.Circumstances{Tracer: seen}); err != nil {
				b.Fatal(err)
			}
			return seen
		}
		seen := evaluate()
		b.Run(fmt.Sprintf("%d rules/name", rules), func(b *testing.B) {
			for b.Loop() {
				seen.hash()
			}
		})
		b.Run(fmt.Sprintf("%d rules/evaluate", rules), func(b *testing.B) {
			for b.Loop() {
				evaluate()
			}
		})
	}
}

// A module without a place, as a program may make one, has its package's name.
func TestAModuleWithoutAPlaceHasItsPackagesName(t *testing.T) {
	if got := fileOf(&ast.Module{Package: &ast.Package{Path: ast.MustParseRef("data.app")}}); !strings.Contains(got, "data.app") {
		t.Errorf("it is called %q", got)
	}
}
