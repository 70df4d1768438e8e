package eval

import (
	"fmt"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"pgregory.net/rapid"
)

func TestTheRuleCacheIsAsOPAs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ours, opas := &ruleCache{}, topdown.NewVirtualCache()
		ours.reset()
		for depth := 0; rapid.IntRange(0, 60).Draw(t, "more") > 0; {
			ref := ast.Ref{ast.DefaultRootDocument, ast.StringTerm(fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "name")))}
			if rapid.Bool().Draw(t, "long") {
				ref = append(ref, ast.IntNumberTerm(rapid.IntRange(0, 2).Draw(t, "key")))
			}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				ours.Push()
				opas.Push()
				depth++
			case 1:
				if depth > 0 {
					ours.Pop()
					opas.Pop()
					depth--
				}
			case 2:
				ours.Put(ref, nil)
				opas.Put(ref, nil)
			case 3, 4, 5, 6:
				value := ast.IntNumberTerm(rapid.IntRange(0, 9).Draw(t, "value"))
				ours.Put(ref, value)
				opas.Put(ref, value)
				ref[1] = ast.StringTerm("the evaluator uses it again")
			default:
				v1, undefined1 := ours.Get(ref)
				v2, undefined2 := opas.Get(ref)
				if v1 != v2 || undefined1 != undefined2 {
					t.Fatalf("%v is %v (undefined %v), OPA's %v (undefined %v)", ref, v1, undefined1, v2, undefined2)
				}
			}
			if a, b := len(ours.Keys()), len(opas.Keys()); a != b {
				t.Fatalf("%d keys, OPA's %d", a, b)
			}
		}
	})
}

// BenchmarkRuleCache is what one evaluation asks of its cache: each of its rules is looked up, stored, and
// looked up again. "ours" is [ruleCache], reset as between decisions; "opa" is a cache as OPA makes for each query.
func BenchmarkRuleCache(b *testing.B) {
	value := ast.InternedTerm(true)
	for _, rules := range []int{1, 4, 16, 64} {
		refs := make([]ast.Ref, rules)
		for i := range refs {
			refs[i] = ast.MustParseRef(fmt.Sprintf("data.policy.admission.rule%d", i))
		}
		ask := func(cache topdown.VirtualCache) {
			for _, ref := range refs {
				cache.Get(ref)
				cache.Put(ref, value)
				cache.Get(ref)
			}
		}
		b.Run(fmt.Sprintf("ours/rules=%d", rules), func(b *testing.B) {
			b.ReportAllocs()
			cache := &ruleCache{}
			for b.Loop() {
				cache.reset()
				ask(cache)
			}
		})
		b.Run(fmt.Sprintf("opa/rules=%d", rules), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask(topdown.NewVirtualCache())
			}
		})
	}
}
