package own_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine/internal/eval/plan/own"

	"github.com/open-policy-agent/opa/v1/ast"
	"pgregory.net/rapid"
)

// drawnTexts are empty, odd, not UTF-8, huge, or of few letters, so that one is often a part of another.
func drawnTexts() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringOfN(rapid.RuneFrom([]rune("aAbé日/. %vsd*\u0130\u212a")), 0, 12, -1),
		rapid.String(),
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte("a/\xff\xc3\x80 ")), 0, 8), func(b []byte) string { return string(b) }),
		rapid.SampledFrom([]string{"a*", "*/b", "**", "{a,b}/?", "[!a]", "a[", "^a+$", "(a|b)*/", "[", "a{1000}", "0.0.0.0/0", "::/0", "::ffff:1.2.3.4", "10.1.2.3", "v1.10.0", "1.2", `{"a": [1]}`, `1e999`}),
		rapid.SampledFrom([]string{"", "a", "/", "%", "%%", "%v", "%d%s", "%[1]d", "1.2.3", "10.0.0.0/8", "::1", "0x1", "+1", "007", "-0", "9223372036854775807"}),
		rapid.Map(rapid.IntRange(0, 3), func(n int) string { return strings.Repeat("a/é", n*50_000) }),
	)
}

func drawnNumbers() *rapid.Generator[*ast.Term] {
	return rapid.OneOf(
		rapid.Map(rapid.IntRange(-3, 20), ast.IntNumberTerm),
		rapid.Map(rapid.Int(), ast.IntNumberTerm),
		rapid.Map(rapid.SampledFrom([]string{
			"-0", "1.0", "1e0", "10e-1", "0.1", "1e300", "1e400", "9223372036854775808", "-9223372036854775808", "123456789012345678901234567890", "1.5", "2147483648",
		}), number),
	)
}

func drawnTerm(t *rapid.T, depth int) *ast.Term {
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	if depth == 0 {
		kind %= 6
	}
	switch kind {
	case 0, 1, 2:
		return ast.StringTerm(drawnTexts().Draw(t, "text"))
	case 3, 4:
		return drawnNumbers().Draw(t, "number")
	case 5:
		return rapid.SampledFrom([]*ast.Term{ast.InternedNullTerm, ast.InternedBooleanTrue, ast.InternedBooleanFalse}).Draw(t, "scalar")
	}
	var items []*ast.Term
	for range rapid.SampledFrom([]int{0, 1, 2, 3, 12}).Draw(t, "n") {
		items = append(items, drawnTerm(t, depth-1))
	}
	switch kind {
	case 6, 7:
		return ast.ArrayTerm(items...)
	case 8:
		return ast.SetTerm(items...)
	default:
		o := ast.NewObject()
		for _, key := range items {
			if o.Get(key) == nil {
				o.Insert(key, drawnTerm(t, depth-1))
			}
		}
		return ast.NewTerm(o)
	}
}

// FuzzBuiltins compares each builtin with OPA's over operands that nobody chose.
func FuzzBuiltins(f *testing.F) {
	names := slices.Sorted(maps.Keys(own.Builtins))
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { compareDrawn(t, names) }))
}

func TestBuiltinsAnswerAsOPAsWithAnyOperands(t *testing.T) {
	names := slices.Sorted(maps.Keys(own.Builtins))
	rapid.Check(t, func(t *rapid.T) { compareDrawn(t, names) })
}

// compareDrawn calls builtins as decisions of one generation do, some of whose operands are data.
func compareDrawn(t *rapid.T, names []string) {
	var c caller
	for range 10 {
		name := rapid.SampledFrom(names).Draw(t, "name")
		terms := make([]*ast.Term, arity(name))
		for i := range terms {
			terms[i] = drawnTerm(t, 3)
		}
		c.compare(t, name, terms, rapid.Bool().Draw(t, "as data"))
	}
}
