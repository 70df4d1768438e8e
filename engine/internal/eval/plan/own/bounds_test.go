package own_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"defenseclaw/engine/internal/builtins"
	"defenseclaw/engine/internal/eval/plan/own"
	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// large are operands at the limit of what is taken.
func large(t *testing.T) (all []*value.Node) {
	t.Helper()
	ints, texts, names := make([]*ast.Term, 1<<16), make([]*ast.Term, 1<<14), make([][2]*ast.Term, 1<<12)
	for i := range ints {
		ints[i] = ast.IntNumberTerm(i * 2000)
	}
	for i := range texts {
		texts[i] = ast.StringTerm(fmt.Sprint("text ", i))
	}
	for i := range names {
		names[i] = ast.Item(texts[i], ints[i])
	}
	long := strings.Repeat("a,é", 1<<16)
	for _, term := range []*ast.Term{
		ast.ArrayTerm(ints...), ast.ArrayTerm(texts...), ast.SetTerm(texts...), ast.ObjectTerm(names...), ast.ObjectTerm(names[1:]...), ast.ArrayTerm(ast.ObjectTerm(names...), ast.ObjectTerm(names[1:]...)),
		ast.StringTerm(long), ast.StringTerm("[" + strings.Repeat("1,", 1<<16) + "1]"), ast.StringTerm("%v%s"), ast.StringTerm(","), ast.ArrayTerm(ast.StringTerm(long), ast.StringTerm(long)),
		ast.IntNumberTerm(0), ast.IntNumberTerm(1<<16 - 1),
	} {
		n, err := value.Constant(term)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// A builtin charges to the arena what it makes: a third of what was allocated as a budget is used up.
func TestBuiltinsAreChargedForWhatTheyMake(t *testing.T) {
	const ofInterest = 1 << 20
	terms := large(t)
	for name, builtin := range own.Builtins {
		if arity(name) > 2 {
			continue
		}
		for _, x := range terms {
			for _, y := range terms {
				operands := []*value.Node{x, y}[:arity(name)]
				made, _ := allocated(builtin, operands, 1<<40)
				if _, over := allocated(builtin, operands, made/3); made > ofInterest && !over {
					t.Errorf("%s of %.40v and %.40v makes %d bytes and is charged for less than a third", name, x.Term(), y.Term(), made)
				}
			}
		}
	}
}

// allocated calls a builtin with a new arena, and reports what was allocated and whether it is over its budget.
func allocated(builtin own.Builtin, operands []*value.Node, budget int64) (bytes int64, over bool) {
	var a value.Arena
	a.Reset(budget)
	c := own.Call{Kept: new(own.Kept)}
	c.Begin(&a, nil, now)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	builtin(&c, operands)
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc), a.Over() //nolint:gosec // small
}

type cancelled struct{}

func (cancelled) Cancel()         {}
func (cancelled) Cancelled() bool { return true }

// Every builtin that goes through a list or a text looks at the deadline after a while.
func TestBuiltinsOverLongOperandsLookAtTheDeadline(t *testing.T) {
	terms := large(t)
	ended, comma := map[string]bool{}, value.Name(",")
	for name, builtin := range own.Builtins {
		for _, x := range terms {
			for _, y := range terms {
				var a value.Arena
				a.Reset(1 << 40)
				c := own.Call{Kept: new(own.Kept)}
				c.Begin(&a, cancelled{}, now)
				operands := []*value.Node{x, y, comma}[:arity(name)]
				for range 32 { // calls of a loop, one after the other
					if ended[name] || builtin(&c, operands) == nil {
						break
					}
				}
				ended[name] = ended[name] || c.Ended()
			}
		}
	}
	for _, name := range []string{
		"sum", "max", "product", "sort", "concat", "split", "contains", "replace", "lower", "trim", "indexof", "array.concat", "array.reverse", "and", "or", "minus",
		"object.keys", "object.union", "object.union_n", "numbers.range", "json.unmarshal", "base64.encode", "internal.member_2", "strings.any_prefix_match",
	} {
		if !ended[name] {
			t.Errorf("%s goes on past the deadline", name)
		}
	}
}

// What is over a limit of OPA's builtins here, whole or a part of it, is left to them: they refuse it.
func TestBuiltinsLeaveToOPAsWhatIsOverALimit(t *testing.T) {
	many := make([]*ast.Term, builtins.MaxValues+1)
	for i := range many {
		many[i] = ast.InternedTerm(i % 100)
	}
	deep := ast.ArrayTerm()
	for range builtins.MaxDepth + 1 {
		deep = ast.ArrayTerm(deep)
	}
	key := ast.StringTerm("a")
	var over []*ast.Term
	for _, x := range []*ast.Term{
		ast.ArrayTerm(many...), deep, ast.StringTerm(strings.Repeat("a", builtins.MaxBytes+1)), number("0." + strings.Repeat("0", builtins.MaxDigits) + "1"), number("1." + strings.Repeat("0", builtins.MaxDigits)),
	} {
		over = append(over, x, ast.ArrayTerm(x), ast.ObjectTerm(ast.Item(key, x)), ast.ArrayTerm(ast.ObjectTerm(ast.Item(key, x)), ast.ObjectTerm()), ast.SetTerm(x))
	}
	others := []*ast.Term{key, number("1"), ast.ArrayTerm(key), ast.ObjectTerm(ast.Item(key, key)), ast.SetTerm(key), ast.StringTerm("%v")}
	var given value.Arena // in which each is opened once
	given.Reset(1 << 40)
	nodes := map[*ast.Term]*value.Node{}
	for _, term := range append(over, others...) {
		nodes[term] = given.FromAST(term)
	}
	for name := range own.Builtins {
		for _, x := range over {
			if arity(name) == 1 {
				refused(t, name, nodes, x)
				continue
			}
			for _, y := range others {
				for _, terms := range [][]*ast.Term{{x, y, key}, {y, x, key}, {y, key, x}} {
					refused(t, name, nodes, terms[:arity(name)]...)
				}
			}
		}
	}
}

// refused reports a builtin that takes operands for which OPA's fails.
func refused(t *testing.T, name string, nodes map[*ast.Term]*value.Node, terms ...*ast.Term) {
	t.Helper()
	var a value.Arena
	a.Reset(1 << 30)
	c := own.Call{Kept: new(own.Kept)}
	c.Begin(&a, nil, now)
	operands := make([]*value.Node, len(terms))
	for i, term := range terms {
		operands[i] = nodes[term]
	}
	if own.Builtins[name](&c, operands) == nil {
		return
	}
	err := topdown.GetBuiltin(name)(topdown.BuiltinContext{Time: number("1")}, terms, func(*ast.Term) error { return nil })
	if err != nil {
		t.Errorf("%s%.80v is answered here; OPA's: %v", name, fmt.Sprintf("%T", terms[0].Value), err)
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	var c caller
	slash := ast.ArrayTerm(ast.StringTerm("/"))
	taken := 0
	const patterns = 5000
	for i := range patterns {
		pattern := ast.StringTerm(fmt.Sprintf("/a/%d/*", i))
		if c.compare(t, "glob.match", []*ast.Term{pattern, slash, ast.StringTerm("/a/7/x")}, true) {
			taken++
		}
	}
	if taken < 1000 || taken == patterns {
		t.Errorf("%d of %d patterns are kept", taken, patterns)
	}
	if c.compare(t, "glob.match", []*ast.Term{ast.StringTerm("*"), slash, ast.StringTerm("x")}, false) {
		t.Error("the pattern of an input is kept")
	}
}

func TestKeysOfInputsAreNotKept(t *testing.T) {
	var a value.Arena
	a.Reset(1 << 20)
	var k own.Kept
	token, key := a.String("a.b.c"), value.Name("key")
	constraints := func(cert *value.Node) *value.Node {
		o := a.Empty(value.Object, 1)
		o.Insert(value.Name("cert"), cert)
		return o
	}
	for _, kept := range [][]*value.Node{{token, key}, {token, constraints(key)}} {
		if k.Keys(kept) == nil {
			t.Errorf("%v is not kept", kept[1].Term())
		}
	}
	for _, other := range [][]*value.Node{{token}, {token, a.String("key")}, {token, constraints(a.String("key"))}, {token, a.Empty(value.Object, 0)}} {
		if k.Keys(other) != nil {
			t.Errorf("%v is kept", other[len(other)-1].Term())
		}
	}
}
