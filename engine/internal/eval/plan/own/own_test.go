package own_test

import (
	"testing"

	"defenseclaw/engine/internal/builtins"
	"defenseclaw/engine/internal/eval/plan/own"
	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	builtins.Install()
	goleak.VerifyTestMain(m)
}

// operands are of every kind, with numbers that are equal and written differently.
var operands = func() (all []*ast.Term) {
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `1`, `-1`, `2`, `1.5`, `1e0`, `10e-1`, `9223372036854775807`, `9223372036854775808`, `1e300`, `""`, `"a"`, `"ab"`, `"b"`,
		`"é"`, `"éa"`, `"日本"`, `"1"`, `[]`, `["a"]`, `["a", 1, null]`, `[[1], {"a"}]`, `{}`, `{"a": 1}`, `{"a": "b", "x": [1]}`, `{1: "a"}`, `set()`,
		`{"a"}`, `{"a", "b"}`, `{1, 2.5, null}`, `{[1], "a"}`, `{{1}}`, `{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}`,
	} {
		all = append(all, ast.MustParseTerm(text))
	}
	return append(all, ast.NewTerm(ast.Number("1.0")), ast.NewTerm(ast.Number("-0")), ast.StringTerm("\xff"))
}()

func TestEachBuiltinAnswersAsOPAs(t *testing.T) {
	for name, builtin := range own.Builtins {
		taken := 0
		decl := ast.BuiltinMap[name]
		for _, x := range operands {
			for _, y := range operands {
				terms := []*ast.Term{x, y}[:decl.Decl.Arity()]
				var a value.Arena
				a.Reset(1 << 20)
				var nodes []*value.Node
				for _, t := range terms {
					nodes = append(nodes, a.FromAST(t))
				}
				got := builtin(&a, nodes)
				if got == nil {
					continue
				}
				taken++
				var want *ast.Term
				err := topdown.GetBuiltin(name)(topdown.BuiltinContext{}, terms, func(t *ast.Term) error {
					want = t
					return nil
				})
				if err != nil || want == nil || want.Value.Compare(got.Term().Value) != 0 || want.String() != got.Term().String() {
					t.Errorf("%s%v is %v; OPA's is %v, %v", name, terms, got.Term(), want, err)
				}
			}
		}
		if taken == 0 {
			t.Errorf("%s takes no operands", name)
		}
	}
}
