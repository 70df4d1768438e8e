package builtins_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
)

// hostile is a call of a builtin with operands that are deep, long, huge or refer to themselves. Operands are
// made when the call is.
type hostile struct {
	builtin  string
	name     string
	operands func() []*ast.Term
}

// maker makes an operand.
type maker struct {
	name string
	kind string // of types.Type: string, number, array, object, set
	make func() *ast.Term
}

func text(name string, f func() string) maker {
	return maker{name, "string", func() *ast.Term { return ast.StringTerm(f()) }}
}

func repeated(name, s string, n int) maker {
	return text(name, func() string { return strings.Repeat(s, n) })
}

func literal(name, kind, term string) maker {
	return maker{name, kind, func() *ast.Term { return ast.MustParseTerm(term) }}
}

// nested wraps a term n times.
func nested(n int, t *ast.Term, wrap func(*ast.Term) *ast.Term) *ast.Term {
	for range n {
		t = wrap(t)
	}
	return t
}

func inArray(t *ast.Term) *ast.Term  { return ast.ArrayTerm(t) }
func twice(t *ast.Term) *ast.Term    { return ast.ArrayTerm(t, t) }
func inSet(t *ast.Term) *ast.Term    { return ast.SetTerm(t) }
func inObject(t *ast.Term) *ast.Term { return ast.ObjectTerm(ast.Item(ast.StringTerm("a"), t)) }
func doubled(t *ast.Term) *ast.Term {
	return ast.ObjectTerm(ast.Item(ast.StringTerm("a"), t), ast.Item(ast.StringTerm("b"), t))
}

func numbersOf(n int) []*ast.Term {
	all := make([]*ast.Term, n)
	for i := range all {
		all[i] = ast.IntNumberTerm(i)
	}
	return all
}

// completeGraph has an edge from each node to each.
func completeGraph(n int) *ast.Term {
	nodes := numbersOf(n)
	var items [][2]*ast.Term
	for _, node := range nodes {
		items = append(items, ast.Item(node, ast.ArrayTerm(nodes...)))
	}
	return ast.ObjectTerm(items...)
}

const million = 1_000_000

// makers make each operand once: nothing changes operands.
func makers() []maker {
	all := newMakers()
	for i := range all {
		all[i].make = sync.OnceValue(all[i].make)
	}
	return all
}

func newMakers() []maker {
	return []maker{
		repeated("long", "a", 8*million),
		repeated("wide runes", "é", 2*million),
		text("repeats with another end", func() string { return strings.Repeat("é", million) + "b" }),
		repeated("brackets", "[", million),
		repeated("braces", "{a", million),
		repeated("closed brackets", "[],", million),
		repeated("JSON objects", `{"a":`, million),
		repeated("percent", "%[1]999999d", 10_000),
		repeated("stars", "*a", 30_000),
		repeated("groups", "(a?)", 15_000),
		repeated("counted", "(a{1000})", 5_000),
		repeated("nested counts", "(x{10}){100}", 100),
		repeated("parentheses", "(", 30_000),
		repeated("alternatives", "{a,", 10_000),
		repeated("fields", "a ", 30_000),
		repeated("lines", "- a\n", 400_000),
		repeated("parameters", "a=b&", 2*million),
		repeated("digits", "9", million),
		literal("a large exponent", "string", `"1e1000000000"`),
		literal("all addresses", "string", `"::/0"`),
		literal("a zone", "string", `"Europe/./Paris"`),
		text("aliases", func() string {
			return "s: &a " + strings.Repeat("x", 200_000) + "\nl: [" + strings.Repeat("*a,", 20_000) + "]"
		}),
		text("aliases of aliases", func() string {
			all := "a0: &a0 [x,x]\n"
			for i := range 40 {
				all += fmt.Sprintf("a%d: &a%d [*a%d,*a%d]\n", i+1, i+1, i, i)
			}
			return all
		}),
		literal("a negative number", "number", `-1`),
		literal("a large number", "number", `100000000000`),
		literal("the largest integer", "number", `9223372036854775807`),
		{"an exponent", "number", func() *ast.Term { return ast.NumberTerm("1e1000000000") }},
		{"a negative exponent", "number", func() *ast.Term { return ast.NumberTerm("1.5e-1000000000") }},
		{"a million digits", "number", func() *ast.Term { return ast.NewTerm(ast.Number(strings.Repeat("9", million))) }},
		{"nine thousand digits", "number", func() *ast.Term { return ast.NewTerm(ast.Number(strings.Repeat("9", 9000))) }},
		{"a deep array", "array", func() *ast.Term { return nested(100_000, ast.NullTerm(), inArray) }},
		{"a doubling array", "array", func() *ast.Term { return nested(50, ast.NullTerm(), twice) }},
		{"a long array", "array", func() *ast.Term { return ast.ArrayTerm(numbersOf(million)...) }},
		{"an array of long strings", "array", func() *ast.Term {
			return ast.ArrayTerm(slices.Repeat([]*ast.Term{ast.StringTerm(strings.Repeat("a", million))}, 10_000)...)
		}},
		{"an array of long numbers", "array", func() *ast.Term {
			return ast.ArrayTerm(slices.Repeat([]*ast.Term{ast.NewTerm(ast.Number(strings.Repeat("9", 9000)))}, 10_000)...)
		}},
		{"an array of networks", "array", func() *ast.Term {
			var all []*ast.Term
			for i := range 100_000 {
				all = append(all, ast.StringTerm(fmt.Sprintf("10.%d.%d.%d/32", i>>16&255, i>>8&255, i&255)))
			}
			return ast.ArrayTerm(all...)
		}},
		{"an array of sets", "array", func() *ast.Term {
			return ast.ArrayTerm(slices.Repeat([]*ast.Term{ast.SetTerm(numbersOf(10)...)}, 20)...)
		}},
		{"a deep set", "set", func() *ast.Term { return nested(100_000, ast.NullTerm(), inSet) }},
		{"a large set", "set", func() *ast.Term { return ast.SetTerm(numbersOf(million / 2)...) }},
		{"a deep object", "object", func() *ast.Term { return nested(100_000, ast.NullTerm(), inObject) }},
		{"a doubling object", "object", func() *ast.Term { return nested(50, ast.NullTerm(), doubled) }},
		{"a complete graph", "object", func() *ast.Term { return completeGraph(700) }},
		{"a schema of itself", "object", func() *ast.Term { return ast.MustParseTerm(`{"$ref": "#"}`) }},
	}
}

// ordinary are operands that a call may have in addition to a hostile one.
var ordinary = map[string]string{
	"string": `"aé"`, "number": `10`, "array": `["a"]`, "set": `{"a"}`, "object": `{"a": "b"}`, "boolean": `true`, "null": `null`,
}

// kindsOf are the kinds that a declared operand may have.
func kindsOf(t types.Type) []string {
	if named, ok := t.(*types.NamedType); ok {
		t = named.Type
	}
	var kinds []string
	if anyOf, ok := t.(types.Any); ok {
		for _, one := range anyOf {
			kinds = append(kinds, kindsOf(one)...)
		}
		if len(anyOf) == 0 { // any value
			for kind := range ordinary {
				kinds = append(kinds, kind)
			}
		}
	} else {
		kinds = append(kinds, kindName(t))
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

func kindName(t types.Type) string {
	switch t.(type) {
	case types.String:
		return "string"
	case types.Number:
		return "number"
	case *types.Array:
		return "array"
	case *types.Set:
		return "set"
	case *types.Object:
		return "object"
	case types.Boolean:
		return "boolean"
	case types.Null:
		return "null"
	}
	return ""
}

// generated are calls of every builtin with each hostile operand of a kind it declares, in each place, the
// other places having ordinary operands, and with it in all places at once. Unless all, one ordinary kind.
func generated(all bool) []hostile {
	var calls []hostile
	pool := makers()
	for _, decl := range ast.Builtins {
		if topdown.GetBuiltin(decl.Name) == nil {
			continue
		}
		var kinds [][]string
		for _, arg := range decl.Decl.FuncArgs().Args {
			kinds = append(kinds, kindsOf(arg))
		}
		for place := range kinds {
			for _, m := range pool {
				if !slices.Contains(kinds[place], m.kind) {
					continue
				}
				calls = append(calls, withHostile(decl.Name, kinds, place, m, false))
				if place == 0 && len(kinds) > 1 {
					calls = append(calls, withHostile(decl.Name, kinds, place, m, true))
				}
				if !all {
					continue
				}
				for _, other := range pool {
					second := (place + 1) % len(kinds)
					if len(kinds) > 1 && slices.Contains(kinds[second], other.kind) {
						calls = append(calls, withPair(decl.Name, kinds, place, second, m, other))
					}
				}
			}
		}
	}
	return calls
}

func operand(kinds []string) *ast.Term {
	if len(kinds) == 0 {
		return ast.StringTerm("a")
	}
	kind := kinds[len(kinds)-1]
	if slices.Contains(kinds, "object") {
		kind = "object"
	}
	return ast.MustParseTerm(ordinary[kind])
}

func withHostile(name string, kinds [][]string, place int, m maker, everywhere bool) hostile {
	label := fmt.Sprintf("%s at %d", m.name, place)
	if everywhere {
		label = m.name + " everywhere"
	}
	return hostile{name, label, func() []*ast.Term { return operandsFor(kinds, place, m, everywhere) }}
}

// operandsFor has the hostile operand at its place or everywhere that it may be, and ordinary ones elsewhere.
func operandsFor(kinds [][]string, place int, m maker, everywhere bool) []*ast.Term {
	t := m.make()
	var operands []*ast.Term
	for i := range kinds {
		if i == place && !everywhere || everywhere && slices.Contains(kinds[i], m.kind) {
			operands = append(operands, t)
		} else {
			operands = append(operands, operand(kinds[i]))
		}
	}
	return operands
}

func withPair(name string, kinds [][]string, place, second int, m, other maker) hostile {
	return hostile{name, fmt.Sprintf("%s at %d, %s at %d", m.name, place, other.name, second), func() []*ast.Term {
		h := withHostile(name, kinds, place, m, false).operands()
		h[second] = other.make()
		return h
	}}
}
