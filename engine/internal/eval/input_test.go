package eval

import (
	"math"
	"testing"

	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
)

// TestJoinedInputsAreOneValueHoweverTheyAreRead reads each pair as texts, as values and as one of each.
func TestJoinedInputsAreOneValueHoweverTheyAreRead(t *testing.T) {
	e := load(t, map[string]string{"p.rego": "package p\nx := input\n"})
	path := Path{"p", "x"}
	if err := e.Compile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ base, over, want string }{
		{`{"a":1}`, `{"b":2}`, `{"a":1,"b":2}`},
		{`{"a":{"b":1,"c":{"d":1}}, "e":[1]}`, `{"a":{"c":{"f":2}},"e":[2]}`, `{"a":{"b":1,"c":{"d":1,"f":2}},"e":[2]}`},
		{`{"a":{"b":1}}`, `{"a":null}`, `{"a":null}`},
		{`{"a":1}`, `7`, `7`}, {`[1]`, `{"a":1}`, `{"a":1}`}, {`{"a":1}`, `{}`, `{"a":1}`}, {`{}`, `{"a":1}`, `{"a":1}`}, {``, `{"a":1}`, `{"a":1}`},
		{`{"a":{"x":1,"x":2}}`, ` {"a" : {"y":1, "y":3} } `, `{"a":{"x":2,"y":3}}`}, {`{"a":1}`, `null`, `null`},
	} {
		for _, baseAsValue := range []bool{false, true} {
			for _, overAsValue := range []bool{false, true} {
				base, over := inputFrom(t, e, path, c.base, baseAsValue), inputFrom(t, e, path, c.over, overAsValue)
				in := Joined(base, over)
				text, defined, err := e.Append(t.Context(), nil, path, in, Strict)
				if err != nil || !defined || string(text) != c.want {
					t.Errorf("%s over %s is %s, %v by a program; want %s", c.over, c.base, text, err, c.want)
				}
				value, err := jsonast.Append(nil, in.Value(), math.MaxInt)
				if err != nil || string(value) != c.want {
					t.Errorf("%s over %s is %s, %v; want %s", c.over, c.base, value, err, c.want)
				}
				if again := in.CompactBytes(math.MaxInt); again <= 0 {
					t.Errorf("%s over %s has %d bytes", c.over, c.base, again)
				}
			}
		}
	}
}

func inputFrom(t *testing.T, e *Evaluator, path Path, text string, asValue bool) *Input {
	t.Helper()
	if text == "" {
		return nil
	}
	in, err := e.ReadInput(path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if asValue {
		return InputOf(in.Value())
	}
	if in.TextBytes() == 0 {
		t.Fatal("the input is no text, so this tests nothing")
	}
	return in
}

func TestNoInputIsNoValue(t *testing.T) {
	in := InputOf(nil)
	if in != nil || in.Value() != nil || in.TextBytes() != 0 || in.CompactBytes(1) != 0 {
		t.Errorf("no input is %v", in)
	}
	if in := InputOf(ast.Null{}); !in.IsNull() || InputOf(ast.Boolean(true)).IsNull() {
		t.Error("null is not told from other inputs")
	}
}
