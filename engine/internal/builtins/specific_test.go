package builtins_test

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// specific are calls that generated ones do not find.
func specific() []hostile {
	var all []hostile
	for name, schema := range endless() {
		all = append(all, of("json.match_schema", name, `{"a": 1}`, schema))
	}
	return append(all,
		of("bits.lsh", "a long shift", "1", "100000000000"),
		of("numbers.range", "a long range", "1", "100000000000"),
		of("numbers.range", "the longest range", "1", "4000000"),
		of("numbers.range_step", "a long range", "1", "100000000000", "3"),
		of("net.cidr_expand", "the most addresses", `"10.0.0.0/12"`),
		of("net.cidr_expand", "IPv6", `"::/0"`),
		of("format_int", "an exponent", "1e9999", "2"),
		of("strings.render_template", "a loop", `"{{range 1000000000}}{{end}}"`, `{}`),
		of("strings.render_template", "a loop in a loop", `"{{range 1000000000}}{{range 1000000000}}a{{end}}{{end}}"`, `{}`),
		of("strings.render_template", "itself", "`{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}`", `{}`),
		of("strings.render_template", "a width", "`{{printf \"%999999d\" 1}}{{printf \"%999999999d\" 1}}`", `{}`),
		of("strings.render_template", "doubling", "`{{$x := \"aaaa\"}}{{range 40}}{{$x = printf \"%s%s\" $x $x}}{{end}}`", `{}`),
		of("strings.render_template", "doubling by print", "`{{$x := \"aaaa\"}}{{range 40}}{{$x = print $x $x}}{{end}}`", `{}`),
		of("sprintf", "a star", `"%*d"`, `[999999, 1]`),
		of("sprintf", "an index", `"%[1]999999d%[1]999999d%[1]999999d"`, `[1]`),
		of("json.patch", "copies into itself", `{"a": {"b": 1}}`, copiesOf(60)),
		hostile{"json.marshal_with_options", "an indentation", func() []*ast.Term {
			return []*ast.Term{nested(5000, ast.NullTerm(), inArray), ast.ObjectTerm(ast.Item(ast.StringTerm("indent"), ast.StringTerm(strings.Repeat(" ", 1<<20))))}
		}},
		hostile{"graph.reachable_paths", "fourteen nodes", func() []*ast.Term { return []*ast.Term{completeGraph(14), ast.ArrayTerm(ast.IntNumberTerm(0))} }},
		hostile{"graph.reachable_paths", "a long path", func() []*ast.Term { return []*ast.Term{pathGraph(20_000), ast.ArrayTerm(ast.IntNumberTerm(0))} }},
		hostile{"graph.reachable", "all edges", func() []*ast.Term { return []*ast.Term{completeGraph(700), ast.ArrayTerm(ast.IntNumberTerm(0))} }},
		hostile{"internal.print", "all combinations", func() []*ast.Term {
			return []*ast.Term{ast.ArrayTerm(numbersToSets(12)...)}
		}},
		hostile{"array.concat", "two long ones", func() []*ast.Term {
			long := ast.ArrayTerm(numbersOf(3 * million)...)
			return []*ast.Term{long, long}
		}},
		hostile{"regex.replace", "a growing value", func() []*ast.Term {
			return []*ast.Term{ast.StringTerm(strings.Repeat("a", million)), ast.StringTerm("a+"), ast.StringTerm(strings.Repeat("$0", million))}
		}},
		hostile{"replace", "a growing value", func() []*ast.Term {
			return []*ast.Term{ast.StringTerm(strings.Repeat("a", million)), ast.StringTerm("a"), ast.StringTerm(strings.Repeat("b", million))}
		}},
		hostile{"strings.replace_n", "a growing value", func() []*ast.Term {
			return []*ast.Term{ast.ObjectTerm(ast.Item(ast.StringTerm("a"), ast.StringTerm(strings.Repeat("b", million)))), ast.StringTerm(strings.Repeat("a", million))}
		}},
		hostile{"indexof", "repeats", func() []*ast.Term {
			return []*ast.Term{ast.StringTerm(strings.Repeat("é", million)), ast.StringTerm(strings.Repeat("é", million/2) + "b")}
		}},
		hostile{"indexof_n", "repeats", func() []*ast.Term {
			return []*ast.Term{ast.StringTerm(strings.Repeat("a", million)), ast.StringTerm(strings.Repeat("a", million/2))}
		}},
		hostile{"rego.parse_module", "a long sum", func() []*ast.Term {
			return []*ast.Term{ast.StringTerm("a.rego"), ast.StringTerm("package p\nx := 1" + strings.Repeat("+1", 30_000))}
		}},
		hostile{"rego.parse_module", "many sums", func() []*ast.Term {
			return []*ast.Term{ast.StringTerm("a.rego"), ast.StringTerm("package p\n" + strings.Repeat("x := 1"+strings.Repeat("+1", 50)+"\n", 90))}
		}},
		hostile{"rego.parse_module", "a long chain of else", func() []*ast.Term {
			return []*ast.Term{ast.StringTerm("a.rego"), ast.StringTerm("package p\nx if {true} " + strings.Repeat("else := 1 if {true}", 3000))}
		}},
		hostile{"rego.parse_module", "deep", func() []*ast.Term {
			return []*ast.Term{ast.StringTerm("a.rego"), ast.StringTerm("package p\nx := " + strings.Repeat("[", 199) + strings.Repeat("]", 199))}
		}},
		hostile{"rego.parse_module", "many rules", func() []*ast.Term {
			return []*ast.Term{ast.StringTerm("a.rego"), ast.StringTerm("package p\n" + strings.Repeat("x if{y}\n", 8000))}
		}},
		hostile{"graphql.is_valid", "one field often", func() []*ast.Term {
			return []*ast.Term{ast.StringTerm("{" + strings.Repeat("a{a} ", 10_000) + "}"), ast.StringTerm("type Query { a: Query }")}
		}},
		hostile{"graphql.is_valid", "fragments of fragments", func() []*ast.Term {
			q := "{...f0}\n"
			for i := range 1000 {
				q += fmt.Sprintf("fragment f%d on Query {...f%d ...f%d a{...f%d}}\n", i, i+1, i+1, i+1)
			}
			return []*ast.Term{ast.StringTerm(q + "fragment f1000 on Query {a{a{b}}}"), ast.StringTerm("type Query { a: Query b: Int }")}
		}},
		hostile{"graphql.parse_and_verify", "a fragment of itself", func() []*ast.Term {
			return []*ast.Term{ast.StringTerm("{...f} fragment f on Query {...f a{...f}}"), ast.StringTerm("type Query { a: Query }")}
		}},
	)
}

func of(builtin, name string, terms ...string) hostile {
	return hostile{builtin, name, func() []*ast.Term {
		var all []*ast.Term
		for _, text := range terms {
			all = append(all, ast.MustParseTerm(text))
		}
		return all
	}}
}

func copiesOf(n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(`{"op": "copy", "from": "/a", "path": "/a/b"}, {"op": "copy", "from": "/a", "path": "/a/c"},`, n), ",") + "]"
}

func pathGraph(n int) *ast.Term {
	var items [][2]*ast.Term
	for i := range n {
		items = append(items, ast.Item(ast.IntNumberTerm(i), ast.ArrayTerm(ast.IntNumberTerm(i+1))))
	}
	return ast.ObjectTerm(items...)
}

func numbersToSets(n int) []*ast.Term {
	var all []*ast.Term
	for range n {
		all = append(all, ast.SetTerm(numbersOf(10)...))
	}
	return all
}
