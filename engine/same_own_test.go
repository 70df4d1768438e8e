package engine

import (
	"strings"
	"testing"

	"defenseclaw/engine/internal/eval/plan/own"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A builtin of programs that no generated policy calls would be compared with OPA's by itself only.
func TestGeneratedPoliciesCallEachBuiltinOfPrograms(t *testing.T) {
	called := map[string]bool{}
	for _, text := range append(builtinTexts, `($e == $e)`, `($e != $e)`, `($n < $n)`, `($n <= $n)`, `($n > $n)`, `($n >= $n)`) {
		expr, err := ast.ParseExpr(strings.NewReplacer("$$", "$", `$"`, `$"`, "$n", "1", "$s", `"a"`, "$c", "[1]", "$o", "{}", "$a", "[]", "$t", "{1}", "$e", "null", "any_missing", "data.missing").Replace(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		ast.WalkRefs(expr, func(r ast.Ref) bool {
			called[r.String()] = true
			return false
		})
		ast.WalkTerms(expr, func(x *ast.Term) bool {
			if _, ok := x.Value.(*ast.TemplateString); ok {
				called[ast.InternalTemplateString.Name] = true
			}
			return false
		})
	}
	for name := range own.Builtins {
		if !called[name] {
			t.Errorf("no generated policy calls %s", name)
		}
	}
}
