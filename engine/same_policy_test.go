package engine

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The kinds of a group.
const (
	complete = iota
	partialSet
	partialObject
	nested // the head of which is a reference of several parts
	function
)

// A group is the rules of one name.
type group struct {
	pkg, name   string
	kind, arity int
}

// A drawnModule is a module whose rules can be taken out one by one.
type drawnModule struct {
	file, pkg string
	rules     []string
	written   string // the whole text, of a module that is not drawn
}

func (m drawnModule) text() string {
	if m.written != "" {
		return m.written
	}
	return "package " + m.pkg + "\n\n" + strings.Join(m.rules, "\n\n") + "\n"
}

// A sameCase is a policy with its data and inputs, and the documents to ask for.
type sameCase struct {
	seed    uint64
	modules []drawnModule
	data    string
	inputs  []string // "" is none
	paths   []Path
}

// drawnPackages come in an order in which each may refer to those before it as a whole.
var drawnPackages = []string{"lib", "a.b", "a", "c.d", "top"}

func drawCase(seed uint64) sameCase {
	d := &drawer{Rand: rand.New(rand.NewPCG(seed, 18))}
	c := sameCase{seed: seed}
	for i, pkg := range drawnPackages {
		if pkg != "a" && d.oneIn(3) {
			continue
		}
		d.pkg = pkg
		modules := make([]drawnModule, 1+d.IntN(2))
		for m := range modules {
			modules[m] = drawnModule{file: fmt.Sprintf("m%d%d.rego", i, m), pkg: pkg}
		}
		for range 1 + d.IntN(4) {
			g, rules := d.rules(len(c.paths))
			for _, text := range rules {
				m := &modules[d.IntN(len(modules))]
				m.rules = append(m.rules, text)
			}
			d.groups = append(d.groups, g)
			if g.kind != function {
				c.paths = append(c.paths, pathOf(pkg, g.name))
			}
			if g.kind == partialObject || g.kind == nested || g.kind == partialSet {
				c.paths = append(c.paths, append(pathOf(pkg, g.name), d.one("a", "1", "k", "é", "0")))
			}
		}
		for _, m := range modules {
			if len(m.rules) > 0 {
				c.modules = append(c.modules, m)
			}
		}
		d.packages = append(d.packages, pkg)
		c.paths = append(c.paths, pathOf(pkg))
	}
	c.paths = append(c.paths, Path{"d", "n", "1"})
	c.data = d.document()
	c.inputs = []string{""}
	for range 6 {
		c.inputs = append(c.inputs, d.question())
	}
	return c
}

func pathOf(pkg string, names ...string) Path { return append(Path(strings.Split(pkg, ".")), names...) }

// rules draws a group and the rules of it.
func (d *drawer) rules(n int) (group, []string) {
	g := group{pkg: d.pkg, kind: d.IntN(5), arity: 1 + d.IntN(2)}
	g.name = fmt.Sprintf("%s%d", [...]string{"c", "s", "o", "r", "f"}[g.kind], n*100+len(d.groups))
	var rules []string
	if d.oneIn(4) && (g.kind == complete || g.kind == function) {
		args := ""
		if g.kind == function {
			args = "(" + strings.TrimSuffix(strings.Repeat("_, ", g.arity), ", ") + ")"
		}
		rules = append(rules, fmt.Sprintf("default %s%s := %s", g.name, args, d.scalar()))
	}
	bodies := 1 + d.IntN(3)
	value := ""
	if d.oneIn(2) { // one value for all bodies, as index and early exit like it
		value = d.one("true", d.scalar())
	}
	for range bodies {
		d.vars = nil
		if text := withoutUnused(d.rule(g, value)); parses(text) {
			rules = append(rules, text)
		}
	}
	return g, rules
}

var (
	declared = regexp.MustCompile(`(some|every) (v\d+)(, (v\d+))? in `)
	variable = regexp.MustCompile(`\bv\d+\b`)
)

// withoutUnused has a wildcard for each variable that is declared and not used, which the compiler refuses.
func withoutUnused(rule string) string {
	uses := map[string]int{}
	for _, name := range variable.FindAllString(rule, -1) {
		uses[name]++
	}
	return declared.ReplaceAllStringFunc(rule, func(text string) string {
		return variable.ReplaceAllStringFunc(text, func(name string) string {
			if uses[name] == 1 {
				return "_"
			}
			return name
		})
	})
}

func parses(rule string) bool {
	_, err := ast.ParseModuleWithOpts("", "package p\n"+rule, ast.ParserOptions{RegoVersion: ast.RegoV1})
	return err == nil
}

func (d *drawer) rule(g group, value string) string {
	head := g.name
	if g.kind == function {
		head += "(" + d.parameters(g.arity) + ")"
	}
	var body []string
	for i := range 1 + d.IntN(4) {
		if i == 0 && g.kind != function && d.oneIn(2) {
			body = append(body, d.binding(1))
		} else {
			body = append(body, d.statement(1+d.IntN(2)))
		}
	}
	result := value
	if result == "" {
		result = d.expr(1 + d.IntN(2))
	}
	switch g.kind {
	case partialSet:
		head += " contains " + d.expr(d.IntN(2))
	case partialObject:
		head += fmt.Sprintf("[%s] := %s", plainly(d.expr(0)), result)
	case nested:
		head += d.one(".a", ".b", ".a.b", fmt.Sprintf("[%s]", d.headKey())) + fmt.Sprintf("[%s]", d.headKey())
		if d.oneIn(3) {
			head += d.one(".c", fmt.Sprintf("[%s]", d.headKey()))
		}
		if d.oneIn(3) {
			head += " contains " + d.expr(0)
		} else {
			head += " := " + result
		}
	default:
		if result != "true" || d.oneIn(2) {
			head += " := " + result
		}
	}
	if d.oneIn(8) && (g.kind == complete || g.kind == function) && !strings.ContainsAny(head, "v") {
		return head // without a body
	}
	text := head + " if {\n\t" + strings.Join(body, "\n\t") + "\n}"
	if g.kind == complete || g.kind == function {
		for d.oneIn(4) {
			d.vars = d.vars[:min(len(d.vars), g.arity)]
			if g.kind == complete {
				d.vars = nil
			}
			text += fmt.Sprintf(" else := %s if {\n\t%s\n}", d.expr(1), d.body(1+d.IntN(2), 1))
		}
	}
	return text
}

// parameters draws those of a function: variables, patterns and constants.
func (d *drawer) parameters(n int) string {
	var all []string
	for range n {
		a := d.fresh()
		switch d.IntN(6) {
		case 0:
			all = append(all, d.scalar())
			continue
		case 1:
			b := d.fresh()
			all = append(all, fmt.Sprintf("[%s, %s]", a, b))
			d.vars = append(d.vars, b)
		case 2:
			all = append(all, fmt.Sprintf("{\"a\": %s}", a))
		default:
			all = append(all, a)
		}
		d.vars = append(d.vars, a)
	}
	return strings.Join(all, ", ")
}

// json draws a value as JSON text.
func (d *drawer) json(depth int) string {
	switch n := d.IntN(8); {
	case depth == 2 && d.oneIn(12):
		return fmt.Sprintf(d.one("[[[[[[[[%s]]]]]]]]", `[{"a": [{"b": [{"1": [%s]}]}]}]`, `{"a": {"a": {"b": {"1": {"a": %s}}}}}`), d.scalar())
	case depth <= 0 || n < 4:
		return d.scalar()
	case n < 6:
		var items []string
		for range d.IntN(4) {
			items = append(items, d.json(depth-1))
		}
		return "[" + strings.Join(items, ", ") + "]"
	default:
		seen := map[string]bool{}
		var items []string
		for range d.IntN(4) {
			if key := d.one(keyTexts...); !seen[key] {
				seen[key] = true
				items = append(items, key+": "+d.json(depth-1))
			}
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
}

// document draws data.json.
func (d *drawer) document() string {
	return fmt.Sprintf(`{"d": {"n": {"1": %s, "10": %s, "a": %s, "1.0": %s}, "list": [%s, %s, %s], "users": {"alice": {"role": %s, "tags": %s}, "é": %s},`+
		` "s": %s, "big": %s, "empty": {}, "deep": {"a": {"b": %s}, "1": [%s]}}, "a": {"base": %s, "z": {"k": %s, "1": %s}, "b": {"k": %s}}, "c": {"k": %[15]s, "d": {"x": [%[16]s]}}, "lib": {"1": %[16]s}}`,
		d.json(1), d.json(1), d.json(0), d.json(1), d.json(1), d.json(2), d.json(0), d.text(), d.json(1), d.json(2),
		d.text(), d.number(), d.json(1), d.json(1), d.json(2), d.json(0), d.json(1), d.json(1))
}

// question draws an input, most of the time an object.
func (d *drawer) question() string {
	if d.oneIn(8) {
		return d.json(2)
	}
	var items []string
	for _, key := range []string{"a", "b", "list", "obj", "n", "s", "num", "é"} {
		if d.oneIn(5) {
			continue
		}
		value := d.json(1)
		switch {
		case d.oneIn(4):
		case key == "list":
			value = fmt.Sprintf("[%s, %s]", d.json(1), d.json(1))
		case key == "obj":
			value = fmt.Sprintf(`{"a": %s, "b": %s, %s: %s}`, d.json(1), d.json(0), d.one(`"k"`, `"role"`, `"é"`), d.json(2))
		case key == "n":
			value = fmt.Sprintf(`{"1": %s, "x": %s}`, d.json(1), d.json(0))
		case key == "s":
			value = d.text()
		case key == "num":
			value = d.number()
		}
		items = append(items, fmt.Sprintf("%q: %s", key, value))
	}
	return "{" + strings.Join(items, ", ") + "}"
}
