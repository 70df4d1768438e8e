package attack_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
)

// queries are ad hoc queries that want to crash the process, take its memory, or outlive the deadline.
func queries(r *rand.Rand) []try {
	var all []try
	for _, q := range []namedText{
		named("a schema that refers to itself", `json.match_schema({}, {"$ref": "#"})`),
		named("a schema that refers to itself, verified", `json.verify_schema({"$ref": "#"})`),
		named("two definitions that refer to each other", `json.match_schema({}, {"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}})`),
		named("a schema over the network", `json.match_schema({}, {"$ref": "http://127.0.0.1:1/x"})`),
		named("a schema from a file", `json.match_schema({}, {"$ref": "file:///etc/passwd"})`),
		named("a shift by 10^11", `bits.lsh(1, 100000000000)`),
		named("a shift of a shift", `bits.lsh(bits.lsh(1, 30000), 30000)`),
		named("a number with a huge exponent", `x := 1e1000000000 + 1`),
		named("a product of products", `x := `+strings.Repeat("99999999999999999999*", 400)+`1`),
		named("numbers.range of 10^9", `count(numbers.range(1, 1000000000))`),
		named("a set of 10^8", `count({x | some a in numbers.range(1, 10000); some b in numbers.range(1, 10000); x := a * 10000 + b})`),
		named("an array of arrays", `x := [y | some i in numbers.range(1, 100000); y := numbers.range(1, 10000)]`),
		named("a text that doubles", doubled(40, func(x, y string) string { return fmt.Sprintf(`%s := concat("", [%s, %s])`, y, x, x) }, `x0 := "aaaaaaaaaaaaaaaa"`)),
		named("an array that doubles", doubled(40, func(x, y string) string { return fmt.Sprintf(`%s := [%s, %s]`, y, x, x) }, `x0 := [1]`)+"; x40 == x39"),
		named("an object that doubles, compared", doubled(30, func(x, y string) string { return fmt.Sprintf(`%s := {"a": %s, "b": %s}`, y, x, x) }, `x0 := {"a": 1}`)+"; x30 == {\"a\": x29, \"b\": x29}"),
		named("a number formatted with a huge width", `sprintf("%1000000000d", [1])`),
		named("a number formatted with a huge precision", `sprintf("%.1000000000f", [1.5])`),
		named("an indent that is huge", `json.marshal_with_options({"a": 1}, {"indent": "`+strings.Repeat("x", 10000)+`", "pretty": true})`),
		named("a product of cidrs", `net.cidr_expand("10.0.0.0/8")`),
		named("all IPv6 addresses", `net.cidr_expand("::/0")`),
		named("paths of a dense graph", densePaths(14)),
		named("a glob with many alternatives", `glob.match("`+strings.Repeat("{a,b}", 2000)+`", [], "a")`),
		named("nested globs", `glob.match("`+strings.Repeat("{", 5000)+strings.Repeat("}", 5000)+`", [], "a")`),
		named("a regular expression that repeats repeats", `regex.match("((((a{1,9}){1,9}){1,9}){1,9}){1,9}", "aaaaaaaaaaaa")`),
		named("the intersection of regular expressions", `regex.globs_match("`+strings.Repeat("[a-z]*", 60)+`", "`+strings.Repeat("[0-9a-z]*", 60)+`")`),
		named("a template that calls itself", `strings.render_template("{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}", {})`),
		named("a template that loops", `strings.render_template("{{range .a}}{{range $.a}}{{range $.a}}xxxxxxxxxx{{end}}{{end}}{{end}}", {"a": numbers.range(1, 2000)})`),
		named("aliases in YAML", `yaml.unmarshal("a: &a [`+strings.Repeat("x,", 500)+`]\nb: &b [`+strings.Repeat("*a,", 500)+`]\nc: &c [`+strings.Repeat("*b,", 500)+`]\nd: [`+strings.Repeat("*c,", 500)+`]")`),
		named("deep JSON in a text", `json.unmarshal("`+strings.Repeat("[", 200000)+`")`),
		named("deep YAML in a text", `yaml.unmarshal("`+strings.Repeat("[", 20000)+`")`),
		named("deep GraphQL", `graphql.parse_query("`+strings.Repeat("{a", 8000)+strings.Repeat("}", 8000)+`")`),
		named("GraphQL fragments in a circle", `graphql.is_valid("{...a} fragment a on Q {...b} fragment b on Q {...a}", "type Q {q: Q}")`),
		named("a rego module in a text", `rego.parse_module("x", "package p\nx := `+strings.Repeat("[", 3000)+strings.Repeat("]", 3000)+`")`),
		named("a certificate of garbage", `crypto.x509.parse_certificates("`+strings.Repeat("MIIB", 10000)+`")`),
		named("a key of 100,000 bits", `crypto.parse_private_keys("`+strings.Repeat("AAAA", 10000)+`")`),
		named("a JWT of many parts", `io.jwt.decode("`+strings.Repeat("a.", 10000)+`")`),
		named("a walk over what doubles", doubled(24, func(x, y string) string { return fmt.Sprintf(`%s := [%s, %s]`, y, x, x) }, `x0 := [1]`)+"; count([1 | walk(x24, _)])"),
		named("a union of what doubles", doubled(24, func(x, y string) string { return fmt.Sprintf(`%s := {"a": %s, "b": %s}`, y, x, x) }, `x0 := {"a": 1}`)+"; object.union(x24, x23)"),
		named("a text of what doubles", doubled(30, func(x, y string) string { return fmt.Sprintf(`%s := [%s, %s]`, y, x, x) }, `x0 := [1]`)+"; count(json.marshal(x30))"),
		named("an environment variable", `opa.runtime().env`),
		named("a request over the network", `http.send({"method": "GET", "url": "http://127.0.0.1:1"})`),
		named("a name looked up", `net.lookup_ip_addr("localhost")`),
		named("a semantic version of garbage", `semver.compare("`+strings.Repeat("1.", 20000)+`", "1.0.0")`),
		named("a time out of range", `time.add_date(1e18, 1000000000, 1000000000, 1000000000)`),
		named("units of a huge number", `units.parse_bytes("`+strings.Repeat("9", 9000)+`E")`),
		named("replacements that grow", `strings.replace_n({"a": "`+strings.Repeat("b", 5000)+`"}, "`+strings.Repeat("a", 20000)+`")`),
		named("a join over itself", `[1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); some c in numbers.range(1, 3000); a + b == c]`),
		named("a query of 30,000 terms", `x := 1`+strings.Repeat("+1", 30000)),
		named("a query of nested brackets", `x := `+strings.Repeat("[", 30000)+strings.Repeat("]", 30000)),
		named("a query of nested parentheses", `x := `+strings.Repeat("(", 30000)+"1"+strings.Repeat(")", 30000)),
		named("a query of nested comprehensions", `x := `+strings.Repeat("[1|", 5000)+"1"+strings.Repeat("]", 5000)),
		named("a query of nested calls", `x := `+strings.Repeat("abs(", 5000)+"1"+strings.Repeat(")", 5000)),
		named("a query of unclosed texts", strings.Repeat("`\"", 30000)),
		named("a query of negations", strings.Repeat("not ", 30000)+"true"),
		named("a query with many with", "true"+strings.Repeat(" with input as 1", 5000)),
		named("a query of a million digits", "x := "+strings.Repeat("9", 1000000)),
		named("a query over all data", `walk(data, x)`),
	} {
		all = append(all, q.tries()...)
	}
	return append(all, randomQueries(r, 120)...)
}

type namedText struct{ name, text string }

func named(name, text string) namedText { return namedText{name, text} }

// tries asks the query in each of the ways there are.
func (q namedText) tries() []try {
	body, _ := json.Marshal(map[string]any{"query": q.text, "unknowns": []string{"input"}})
	return []try{
		{q.name, func(v *victim) error { return v.endsInTime(http.MethodPost, "/v1/query", string(body)) }},
		{q.name + ", partially", func(v *victim) error { return v.endsInTime(http.MethodPost, "/v1/compile", string(body)) }},
		{q.name + ", by GET, explained", func(v *victim) error {
			return v.endsInTime(http.MethodGet, "/v1/query?explain=full&q="+url.QueryEscape(q.text), "")
		}},
	}
}

// endsInTime asks, and wants an answer, whatever it is. The client's timeout is far beyond the deadline of a
// decision, so that a slow machine fails nothing.
func (v *victim) endsInTime(method, path, body string, headers ...string) error {
	a, err := v.ask(method, path, body, headers...)
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	if a.status == http.StatusOK && strings.Contains(a.body, "root:x:") {
		return fmt.Errorf("the answer tells a file of the system: %v", a)
	}
	return nil
}

// doubled is n statements, each of which makes a value of the one before.
func doubled(n int, statement func(before, made string) string, first string) string {
	lines := []string{first}
	for i := range n {
		lines = append(lines, statement(fmt.Sprintf("x%d", i), fmt.Sprintf("x%d", i+1)))
	}
	return strings.Join(lines, "; ")
}

func densePaths(nodes int) string {
	var graph []string
	for i := range nodes {
		var edges []string
		for j := range nodes {
			edges = append(edges, fmt.Sprintf(`"%d"`, j))
		}
		graph = append(graph, fmt.Sprintf(`"%d": [%s]`, i, strings.Join(edges, ",")))
	}
	return `count(graph.reachable_paths({` + strings.Join(graph, ",") + `}, {"0"}))`
}

// randomQueries nest random pieces of Rego.
func randomQueries(r *rand.Rand, n int) []try {
	pieces := []string{"[%s]", "{%s}", `{"a": %s}`, "[x | x := %s]", "count(%s)", "json.marshal(%s)", "sprintf(\"%%v\", [%s])", "walk(%s)", "%s == %s", "%s; %s", "not %s",
		"data.attack.numbers_up_to with input.n as %s", "array.concat(%s, [1])", "{x: y | some x, y in %s}", "every x in %s { x }", "object.union(%s, %s)", "numbers.range(1, %s)", "-%s"}
	var build func(depth int) string
	build = func(depth int) string {
		if depth == 0 {
			return []string{"1", `"a"`, "1e9", "[]", "{}", "null", "data", "input", "1000000", "_"}[r.IntN(10)]
		}
		piece := pieces[r.IntN(len(pieces))]
		args := make([]any, strings.Count(strings.ReplaceAll(piece, "%%", ""), "%s"))
		for i := range args {
			args[i] = build(depth - 1)
		}
		return fmt.Sprintf(piece, args...)
	}
	var all []try
	for i := range n {
		q := build(1 + r.IntN(9))
		all = append(all, named(fmt.Sprintf("random query %d: %.60s", i, q), q).tries()[0])
	}
	return all
}
