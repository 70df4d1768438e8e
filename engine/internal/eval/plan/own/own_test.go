package own_test

import (
	"slices"
	"strings"
	"testing"
	"time"

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

func number(text string) *ast.Term { return ast.NewTerm(ast.Number(text)) }

// operands are of every kind, with numbers that are equal and written differently, and texts that are not UTF-8.
var operands = func() (all []*ast.Term) {
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `1`, `-1`, `2`, `16`, `1.5`, `1e0`, `10e-1`, `9223372036854775807`, `-9223372036854775808`, `9223372036854775808`, `2147483648`,
		`1e300`, `""`, `"a"`, `"ab"`, `"b"`, `"A "`, `"é"`, `"éa"`, `"日本"`, `"İ"`, `"1"`, `"-0"`, `"007"`, `"/"`, `"a/b//c"`, `"%v %d"`, `"%s%%"`, `"%5d"`, `"1.2.3"`, `"v1.2.10"`,
		`"1.2.3-rc.1"`, `"10.0.0.0/8"`, `"10.1.2.3"`, `"::ffff:10.1.2.3"`, `"a*"`, `"[a-"`, `"(a|b)+$"`, `"YWI="`, `"2024-02-29T12:00:00.5+01:00"`, `"9999-01-01T00:00:00Z"`, `[]`, `["a"]`, `["/"]`, `["a", "b"]`, `["a", 1, null]`, `[3, 1, 2]`,
		`[1, 2.5]`, `[[1], {"a"}]`, `["x", "a"]`, `[{"a": 1}, {"a": {"b": 2}}, {"a": {"c": 3}, "d": 4}]`, `{}`, `{"a": 1}`, `{"a": "b", "x": [1]}`, `{"a": {"b": 2}, "c": 1}`, `{1: "a"}`,
		`{"x": {"a": null}}`, `set()`, `{"a"}`, `{"a", "b"}`, `{1, 2}`, `{1, 2.5, null}`, `{[1], "a"}`, `{{1}}`, `{{1, "a"}, {"a", 2}}`, `{"a": ["ab", "b"], "b": {"a"}, "ab": 1}`, `["a", {1}, set(), {"b"}]`,
		`{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}`,
	} {
		all = append(all, ast.MustParseTerm(text))
	}
	return append(all, number("1.0"), number("-0"), ast.StringTerm("\xff"), ast.StringTerm("a\xffb"), ast.ArrayTerm(number("1.0"), number("1")),
		ast.ObjectTerm([2]*ast.Term{ast.StringTerm("a"), number("1.0")}), ast.SetTerm(number("1.0")), ast.StringTerm("\u212a"))
}()

// frozen are the operands as constants, whose patterns are kept.
var frozen = func() map[*ast.Term]*value.Node {
	all := map[*ast.Term]*value.Node{}
	for _, x := range operands {
		if n, err := value.Constant(x); err == nil {
			all[x] = n
		}
	}
	return all
}()

var now = time.Unix(1_700_000_000, 5)

// caller calls builtins of ours, and keeps what they keep from one decision to the next.
type caller struct {
	arena value.Arena
	call  own.Call
	kept  own.Kept
}

// compare calls a builtin of ours and OPA's with the same operands, and reports whether ours took them. Operands that are
// frozen may be given as such, as constants and data are.
func (c *caller) compare(t fataler, name string, terms []*ast.Term, asData bool) bool {
	t.Helper()
	a := &c.arena
	a.Reset(1 << 30)
	c.call.Kept = &c.kept
	c.call.Begin(a, nil, now)
	defer c.call.End()
	nodes := make([]*value.Node, len(terms))
	for i, term := range terms {
		if asData {
			if nodes[i] = frozen[term]; nodes[i] == nil {
				if n, err := value.Constant(term); err == nil {
					nodes[i] = n
				}
			}
		}
		if nodes[i] == nil {
			nodes[i] = a.FromAST(term)
		}
	}
	got := own.Builtins[name](&c.call, nodes)
	if got == nil || a.Err() != nil {
		return false
	}
	var want *ast.Term
	err := topdown.GetBuiltin(name)(topdown.BuiltinContext{Time: number("1700000000000000005")}, terms, func(t *ast.Term) error {
		want = t
		return nil
	})
	if err != nil || want == nil || want.Value.Compare(got.Term().Value) != 0 || want.String() != got.Term().String() {
		t.Errorf("%s%.300v is %.300v; OPA's is %.300v, %v", name, terms, got.Term(), want, err)
	}
	for i, term := range terms { // a builtin that changed what it was given
		if nodes[i].Term().String() != term.String() {
			t.Errorf("%s%.300v changed operand %d to %.300v", name, terms, i, nodes[i].Term())
		}
	}
	return true
}

type fataler interface {
	Helper()
	Errorf(format string, args ...any)
}

func arity(name string) int { return ast.BuiltinMap[name].Decl.Arity() }

// Of every builtin, all combinations of operands are compared, of three operands every seventh: the table is the list, so
// none can be left out.
func TestEachBuiltinAnswersAsOPAs(t *testing.T) {
	for name := range own.Builtins {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c caller
			taken, tried := 0, 0
			each(arity(name), nil, func(terms []*ast.Term) {
				if tried++; len(terms) == 3 && tried%7 > 0 {
					return
				}
				if c.compare(t, name, terms, true) {
					taken++
				}
				c.compare(t, name, terms, false)
			})
			if taken == 0 && !strings.HasPrefix(name, "io.jwt.decode") { // for which tokens are needed
				t.Error("it takes none of the operands")
			}
		})
	}
}

// each calls f with all combinations of n operands.
func each(n int, begun []*ast.Term, f func([]*ast.Term)) {
	if n == 0 {
		f(slices.Clone(begun))
		return
	}
	for _, x := range operands {
		each(n-1, append(begun, x), f)
	}
}
