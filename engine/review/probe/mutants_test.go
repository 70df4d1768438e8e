package probe_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review/probe"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

// mutant is a policy with one point changed.
type mutant struct {
	name  string
	files fstest.MapFS
}

// mutantsOf changes every module at every point, one at a time: conditions are dropped and negated, comparisons and
// constants replaced, rules and else branches dropped.
func mutantsOf(t testing.TB, files fstest.MapFS) (all []mutant) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, ".rego") {
			continue
		}
		parse := func() *ast.Module {
			m, err := ast.ParseModule(name, string(files[name].Data))
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		for n := 0; ; n++ {
			m := parse()
			what := change1(m, n)
			if what == "" {
				break
			}
			text, err := format.Ast(m)
			if err != nil {
				continue
			}
			mutated := maps.Clone(files)
			mutated[name] = &fstest.MapFile{Data: text}
			all = append(all, mutant{name + ": " + what, mutated})
		}
	}
	return all
}

// change1 makes the change of a number, and says what it was; empty: there are fewer.
func change1(m *ast.Module, number int) (what string) {
	at := -1
	here := func(kind string, loc *ast.Location) bool {
		if at++; at == number {
			what = fmt.Sprintf("%s at %d", kind, loc.Row)
			return true
		}
		return false
	}
	for i, rule := range m.Rules {
		if len(m.Rules) > 1 && here("drop the rule", rule.Location) {
			m.Rules = slices.Delete(m.Rules, i, i+1)
			return what
		}
		for r := rule; r != nil; r = r.Else {
			if r.Else != nil && here("drop else", r.Else.Location) {
				r.Else = r.Else.Else
				return what
			}
			if changeBody(r, here); what != "" {
				return what
			}
		}
	}
	return ""
}

func changeBody(r *ast.Rule, here func(string, *ast.Location) bool) {
	for i, expr := range r.Body {
		if len(r.Body) > 1 && here("drop the condition", expr.Location) {
			r.Body = slices.Delete(r.Body, i, i+1)
			return
		}
		if _, some := expr.Terms.(*ast.SomeDecl); !some && !expr.IsAssignment() && here("negate", expr.Location) {
			expr.Negated = !expr.Negated
			return
		}
		if terms, ok := expr.Terms.([]*ast.Term); ok {
			if other := otherOperator[terms[0].Value.String()]; other != "" && here("compare", expr.Location) {
				terms[0] = ast.RefTerm(ast.VarTerm(other))
				return
			}
		}
	}
	done := false
	ast.WalkTerms(r, func(t *ast.Term) bool {
		if done {
			return true
		}
		switch v := t.Value.(type) {
		case ast.Ref:
			return true
		case ast.Number:
			if n, ok := v.Int(); ok && here("number", t.Location) {
				t.Value, done = ast.InternedTerm(n+1).Value, true
			}
		case ast.String:
			if here("text", t.Location) {
				t.Value, done = v+"x", true
			}
		}
		return done
	})
}

var otherOperator = map[string]string{"lt": "lte", "lte": "lt", "gt": "gte", "gte": "gt", "equal": "neq", "neq": "equal"}

// toldMutants searches for the difference that each mutant makes. Many make none that a caller could see, or none with the
// data of the pack.
func toldMutants(t testing.TB, opts probe.Options) (n, of int) {
	t.Helper()
	files := defaultPack(t)
	base := load(t, files, nil)
	var seeds []probe.Seed
	for _, p := range packs(t) {
		if strings.HasPrefix(p.name, "default_") {
			seeds = append(seeds, p.seeds...)
		}
	}
	for _, m := range mutantsOf(t, files) {
		g, err := engine.Load(t.Context(), m.files, base)
		if err != nil {
			continue // it does not compile
		}
		opts.MaxFound = 1
		r, err := probe.Run(t.Context(), base, g, seeds, opts)
		if err != nil {
			t.Fatal(err)
		}
		if r.Same {
			continue
		}
		if of++; len(r.Found) > 0 {
			n++
		} else {
			t.Logf("not told apart: %s", m.name)
		}
	}
	return n, of
}

// TestMutantsOfTheDefaultPackAreToldApart has a floor below what was measured.
func TestMutantsOfTheDefaultPackAreToldApart(t *testing.T) {
	if !*all {
		t.Skip("make probe")
	}
	n, of := toldMutants(t, probe.Options{CPU: time.Minute, MaxInput: 400, At: noon})
	t.Logf("%d of %d mutants were told apart", n, of)
	if n*100 < of*60 {
		t.Errorf("%d of %d mutants were told apart, fewer than 60 of 100", n, of)
	}
}

// BenchmarkMutants is of a quarter of a second each.
func BenchmarkMutants(b *testing.B) {
	n, of := 0, 0
	for b.Loop() {
		n, of = toldMutants(b, probe.Options{CPU: time.Second / 4, At: noon})
	}
	b.ReportMetric(float64(n), "told")
	b.ReportMetric(float64(of), "mutants")
}
