package eval

import (
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// TestABuiltinThatFailsIsAnErrorOrUndefined asks each path in both modes, by OPA's evaluator and by a program: they share a plan.
func TestABuiltinThatFailsIsAnErrorOrUndefined(t *testing.T) {
	e := load(t, map[string]string{"p.rego": `package p

default allow := false
allow if not denied
denied if to_number(input.text) > 3
fixed := to_number(data.word)
uses_fixed := x if { x := [1 | fixed] }
around := [input.text, y] if { y := [1 | to_number(data.word)] }
deep if json.unmarshal(input.text)
conflict := input.text
conflict := to_number("5")
`, "data.json": `{"word": "x"}`})
	text := func(s string) ast.Value { return ast.MustParseTerm(`{"text": ` + ast.String(s).String() + `}`).Value }
	cases := []struct {
		path            string
		input           ast.Value
		strict, lenient string
	}{
		{"allow", text("5"), "false", "false"},
		{"allow", text("x"), "error p.rego", "true"},
		{"denied", text("x"), "error p.rego", "undefined"},
		{"fixed", nil, "error p.rego", "undefined"},
		{"uses_fixed", nil, "error p.rego", "[]"},
		{"around", text("a"), "error p.rego", `["a", []]`},
		{"deep", text("{"), "error p.rego", "undefined"},
		{"conflict", text("x"), "error p.rego", "error p.rego"},
		// What is over a limit of ours must not make a rule that denies undefined.
		{"deep", text("[" + strings.Repeat("[],", 1<<20) + "[]]"), "error p.rego", "error p.rego"},
		{"allow", text("0." + strings.Repeat("1", 20_000)), "error p.rego", "error p.rego"},
	}
	for range 2 { // the second time with a program
		for _, c := range cases {
			path := Path{"p", c.path}
			for range 2 {
				if got := answerIn(t, e, Strict, path, c.input); got != c.strict {
					t.Errorf("%s of %.60v is %s if strict; want %s", path, c.input, got, c.strict)
				}
				if got := answerIn(t, e, Lenient, path, c.input); got != c.lenient {
					t.Errorf("%s of %.60v is %s if lenient; want %s", path, c.input, got, c.lenient)
				}
			}
			_ = e.Compile(t.Context(), path) // an error says that OPA's evaluator goes on
		}
	}
}
