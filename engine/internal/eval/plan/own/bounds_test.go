package own_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"defenseclaw/engine/internal/eval/plan/own"
	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ast"
)

// large are operands at the limit of what is taken.
func large(t *testing.T) (all []*value.Node) {
	t.Helper()
	ints, texts, names := make([]*ast.Term, 1<<16), make([]*ast.Term, 1<<14), make([][2]*ast.Term, 1<<14)
	for i := range ints {
		ints[i] = ast.IntNumberTerm(i * 2000)
	}
	for i := range texts {
		texts[i] = ast.StringTerm(fmt.Sprint("text ", i))
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
				for range 16 { // calls of a loop, one after the other
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
		"object.keys", "object.union", "object.union_n", "numbers.range", "sprintf", "json.unmarshal", "base64.encode", "internal.member_2", "strings.any_prefix_match",
	} {
		if !ended[name] {
			t.Errorf("%s goes on past the deadline", name)
		}
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
