package plan_test

import (
	"errors"
	"testing"

	"defenseclaw/engine/internal/eval/plan"

	"github.com/open-policy-agent/opa/v1/ast"
)

// TestAnIndexThatMayFailIsLeftToOPA: a program must not answer where OPA's evaluator, which evaluates the body of a
// comprehension for all keys at once, may meet an error of a key that the program does not look at.
func TestAnIndexThatMayFailIsLeftToOPA(t *testing.T) {
	// Where OPA makes an index: the body compares with a variable from outside. The input has an element whose key is
	// another and for which the body fails.
	const (
		bothModes = iota
		lenientOnly
		neither
	)
	for name, c := range map[string]struct {
		rules, body string
		want        int
	}{
		"comparisons alone":                 {body: "v := i.v; i.k == k", want: bothModes},
		"a builtin that has always a value": {body: "v := i.v; is_number(i.v); i.k == k", want: bothModes},
		"a builtin ahead of the key":        {body: "v := upper(i.v); i.k == k", want: bothModes},
		"a builtin that gives the key":      {body: "v := i.v; upper(i.k) == k", want: bothModes},
		"a builtin behind the key":          {body: "i.k == k; v := upper(i.v)", want: lenientOnly},
		"one that may be refused":           {body: "i.k == k; v := concat(i.v, [])", want: neither},
		"a partial set":                     {rules: "s contains x if some x in input.s", body: "i.k == k; s[i.v]; v := 1", want: bothModes},
		"a partial set with a builtin":      {rules: "s contains upper(x) if some x in input.s", body: "i.k == k; s[i.v]; v := 1", want: lenientOnly},
		"a rule of one constant":            {rules: "r if input.a\nr if input.b", body: "i.k == k; r; v := 1", want: bothModes},
		"a rule of two constants":           {rules: "r := 1 if input.a\nr := 2 if input.b", body: "i.k == k; r; v := 1", want: neither},
		"one rule with branches":            {rules: "r := 1 if input.a else := 2", body: "i.k == k; v := r", want: bothModes},
		"a function of one constant":        {rules: "f(x) if x == 1\nf(x) if x == 2", body: "i.k == k; f(i.v); v := 1", want: bothModes},
		"a function of two values":          {rules: "f(x) := y if some y in x", body: "i.k == k; v := f(i.v)", want: neither},
		"through another rule":              {rules: "f(x) := y if some y in x\ns contains y if { some x in input.s; y := f(x) }", body: "i.k == k; s[i.v]; v := 1", want: neither},
		"a partial object":                  {rules: "o[x] := y if some x, y in input.s", body: "i.k == k; v := o[i.v]", want: neither},
		"an object in the body":             {body: "i.k == k; v := {a: b | some a, b in i.v}", want: neither},
	} {
		t.Run(name, func(t *testing.T) {
			text := "package p\n" + c.rules + "\nx[k] := [v | some i in input.list; " + c.body + "] if some k in input.keys\n"
			corpus := mustCorpus(t, "{}", text)
			ref := ast.MustParseRef("data.p.x")
			p, err := corpus.program(t.Context(), ref)
			got := bothModes
			switch {
			case errors.Is(err, plan.ErrAsk):
				got = neither
			case err != nil:
				t.Fatal(err)
			case p.Lenient != nil:
				got = lenientOnly
			}
			if got != c.want {
				t.Fatalf("got %d, want %d (%v, %v)", got, c.want, err, p)
			}
			if p == nil {
				return
			}
			input := ast.MustParseTerm(`{"keys": ["a"], "s": ["b"], "a": true, "list": [{"k": "a", "v": "b"}, {"k": 1, "v": 2}, {"k": "A", "v": [1, 2]}]}`)
			corpus.sameAsTopdown(t, p, ref, input)
		})
	}
}

func TestAReplacedBuiltinMayFailInAnIndex(t *testing.T) {
	corpus := mustCorpus(t, "{}", `package p
f(x) := y if some y in x
grouped[k] := [v | some i in input.list; lower(i) == k; v := i] if some k in input.keys
x := 1 if grouped with lower as f
`)
	if _, err := corpus.program(t.Context(), ast.MustParseRef("data.p.x")); !errors.Is(err, plan.ErrAsk) {
		t.Errorf("error %v, want plan.ErrAsk", err)
	}
}
