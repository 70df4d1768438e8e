package builtins_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// resultOf is the value or the error of a builtin, as text.
func resultOf(f topdown.BuiltinFunc, operands []*ast.Term) string {
	var got []string
	if err := f(topdown.BuiltinContext{}, operands, func(t *ast.Term) error {
		got = append(got, t.String())
		return nil
	}); err != nil {
		return "error"
	}
	return strings.Join(got, " ")
}

func TestOurImplementationsAnswerAsOPAsDo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func() *ast.Term {
		letters := []string{"a", "a", "b", "é", "\xff", "\xfe", "€"}
		s := ""
		for range random.IntN(6) {
			s += letters[random.IntN(len(letters))]
		}
		return ast.StringTerm(s)
	}
	some := func(all ...string) *ast.Term { return ast.StringTerm(all[random.IntN(len(all))]) }
	graph := func() []*ast.Term {
		var items [][2]*ast.Term
		for i := range 5 {
			var edges []*ast.Term
			for range random.IntN(4) {
				edges = append(edges, ast.IntNumberTerm(random.IntN(6)))
			}
			items = append(items, ast.Item(ast.IntNumberTerm(i), [...]*ast.Term{ast.ArrayTerm(edges...), ast.SetTerm(edges...), ast.NullTerm()}[random.IntN(3)]))
		}
		return []*ast.Term{ast.ObjectTerm(items...), ast.ArrayTerm(ast.IntNumberTerm(random.IntN(6)), ast.IntNumberTerm(random.IntN(6)))}
	}
	template := func() []*ast.Term {
		return []*ast.Term{
			some("{{.a}}{{.n}}", "{{range .l}}<{{.}}>{{else}}none{{end}}", "{{printf \"%5d|%v\" 3 .n}}", "{{.missing}}", "{{if .a}}{{print .a .n}}{{end}}",
				"{{define \"x\"}}{{.}}{{end}}{{template \"x\" .l}}", "{{html \"<\"}}", "{{", "{{len .l}} {{index .l 1}}", "{{range 3}}{{.}}{{break}}{{end}}"),
			ast.MustParseTerm(`{"a": "x", "n": 1.5, "l": [1, "b"]}`),
		}
	}
	patch := func() []*ast.Term {
		ops := []string{`{"op": "copy", "from": "/a", "path": "/b"}`, `{"op": "add", "path": "/c", "value": 1}`, `{"op": "remove", "path": "/b"}`, `{"op": "move", "from": "/b", "path": "/d"}`, `{"op": "test", "path": "/c", "value": 1}`, `{"op": "copy"}`}
		var list []string
		for range random.IntN(5) {
			list = append(list, ops[random.IntN(len(ops))])
		}
		return []*ast.Term{ast.MustParseTerm(`{"a": {"x": [1, 2]}}`), ast.MustParseTerm("[" + strings.Join(list, ",") + "]")}
	}
	for name, operands := range map[string]func() []*ast.Term{
		"indexof":   func() []*ast.Term { return []*ast.Term{word(), word()} },
		"indexof_n": func() []*ast.Term { return []*ast.Term{word(), word()} },
		"regex.replace": func() []*ast.Term {
			return []*ast.Term{word(), some("a+", "(a)(b)?", "", "^a", "[", "."), some("$1", "x", "$0$0", "")}
		},
		"graph.reachable":         graph,
		"graph.reachable_paths":   graph,
		"strings.render_template": template,
		"json.patch":              patch,
	} {
		for range 2000 {
			all := operands()
			if got, want := resultOf(topdown.GetBuiltin(name), all), resultOf(originals[name], all); got != want {
				t.Fatalf("%s%v = %s; OPA's is %s", name, fmt.Sprint(all), got, want)
			}
		}
	}
}
