package engine

import (
	"fmt"
	"slices"
	"strings"
)

// composite draws sets and objects whose elements and keys are collections.
func (d *drawer) composite(depth int) string {
	switch d.IntN(4) {
	case 0:
		return fmt.Sprintf("{[%s, %s], {%s: 1}, {%s}}", d.expr(depth-1), d.scalar(), d.scalar(), d.expr(0))
	case 1:
		return fmt.Sprintf("{[%s]: {%s}, {%s: 1}: 2}", d.expr(0), d.expr(depth-1), d.scalar())
	case 2:
		return fmt.Sprintf("{{%s, 1}, {1.0, %s}, set(), {}}", d.expr(0), d.expr(0))
	default:
		return strings.Repeat("[", 12) + d.expr(depth-1) + strings.Repeat("]", 12)
	}
}

// nestedComprehension draws comprehensions in comprehensions; the inner ones may use what the outer ones bind.
func (d *drawer) nestedComprehension() string {
	return d.within(func() string {
		outer := d.binding(1)
		inner := d.within(func() string {
			body := d.binding(0) + "; " + d.condition(1)
			return d.one("["+d.expr(0)+" | "+body+"]", "{"+d.expr(0)+" | "+body+"}", "{"+d.expr(0)+": "+d.expr(1)+" | "+body+"}")
		})
		switch d.IntN(4) {
		case 0:
			return fmt.Sprintf("[%s | %s]", inner, outer)
		case 1:
			return fmt.Sprintf("{%s | %s}", inner, outer)
		case 2:
			return fmt.Sprintf("{%s: %s | %s}", d.expr(0), inner, outer)
		default:
			name := d.fresh()
			d.vars = append(d.vars, name)
			return fmt.Sprintf("[%s | %s; %s := %s; count(%s) >= 0]", d.expr(1), outer, name, inner, name)
		}
	})
}

// pattern takes a value apart.
func (d *drawer) pattern(depth int) string {
	a, b := d.fresh(), d.fresh()
	from := d.one(d.collection(depth), "[[1, 2], [%s, 3]]", "[{\"a\": 1, \"k\": 2}, {\"a\": %s, \"k\": %s}]", "{[1, %s]}", "data.d.list", "input.list")
	from = strings.ReplaceAll(from, "%s", d.scalar())
	var text string
	switch d.IntN(6) {
	case 0:
		text = fmt.Sprintf("some [%s, %s] in %s", a, b, from)
	case 1:
		text = fmt.Sprintf("some {\"a\": %s, \"k\": %s} in %s", a, b, from)
	case 2:
		text = fmt.Sprintf("some %s, [%s, _] in %s", a, b, from)
	case 3:
		text = fmt.Sprintf("{\"a\": %s, \"b\": %s} = %s", a, b, d.one("input.obj", "data.d.deep", `{"a": 1, "b": input.a}`))
	case 4:
		text = fmt.Sprintf("[%s, [%s, _]] := [%s, %s]", a, b, d.expr(0), d.one("input.list", "[1, 2]", "data.d.list"))
	default:
		text = fmt.Sprintf("some %s, {\"a\": %s} in %s", a, b, from)
	}
	d.vars = append(d.vars, a, b)
	return text
}

// search binds variables by looking through data, the input, rules and packages.
func (d *drawer) search() string {
	a, b := d.fresh(), d.fresh()
	in := d.one("data.d.n", "data.d.deep", "data.d", "input", "input.obj", "input.list", "data.d.users", "data.a")
	if g, ok := d.group(func(g group) bool { return g.kind == partialSet || g.kind == partialObject || g.kind == nested }); ok && d.oneIn(2) {
		in = d.refTo(g)
	}
	if len(d.packages) > 0 && d.oneIn(6) {
		in = "data." + d.one(d.packages...)
	}
	text := fmt.Sprintf("some %s, %s; %s[%s][%s]", a, b, in, a, b)
	switch d.IntN(5) {
	case 0:
		text = fmt.Sprintf("some %s; %s[%s]", a, in, a)
		b = a
	case 1:
		text = fmt.Sprintf("%s = %s[%s]", b, in, d.one("_", d.key()))
		a = b
	case 2:
		text = fmt.Sprintf("some %s; %s[%s][%s] = %s", a, in, a, d.key(), d.expr(0))
		b = a
	case 3:
		text += fmt.Sprintf(" = %s", d.one("_", d.expr(0)))
	}
	d.vars = append(d.vars, a, b)
	return text
}

// plainly spells a number in the way that most do: of two heads with equal numbers such as 100 and 1e2, it is left to chance
// in OPA which it finds.
func plainly(key string) string {
	if slices.Contains(numberTexts, key) && strings.Trim(key, "-0123456789") != "" || key == "-0" {
		return "1"
	}
	return key
}

// headKey is what the head of a rule leads through: seldom what makes programs leave the path to OPA's evaluator.
func (d *drawer) headKey() string {
	switch {
	case d.oneIn(12):
		return plainly(d.key())
	case len(d.vars) > 0 && d.oneIn(2):
		return d.one(d.vars...)
	default:
		return d.one(`"a"`, `"k"`, `"1"`, `"é"`, "input.s", "input.a")
	}
}

func (d *drawer) everyWith(depth int) string {
	return d.within(func() string {
		k, v := d.fresh(), d.fresh()
		over := d.collection(depth)
		d.vars = append(d.vars, k, v)
		return fmt.Sprintf("every %s, %s in %s { %s }", k, v, over, d.body(2, depth-1)) + d.one("", d.with(0))
	})
}

// with replaces input, data, a rule or a function for one statement.
func (d *drawer) with(depth int) string {
	var all string
	n := 1
	if d.oneIn(4) {
		n = 2
	}
	for range n {
		target := d.one("input", "input.a", "input.obj.a", "input.list", "data.d.n", "data.d.users.alice", "data.d.list", "data.a.base", "input.x.y.z",
			"data.d", "data.d.deep.a.b", "data.d.missing.x", "data.d.s.x")
		by := d.expr(depth - 1)
		switch d.IntN(8) {
		case 0:
			if g, ok := d.group(func(g group) bool { return g.kind != function }); ok {
				target = "data." + g.pkg + "." + g.name
			}
		case 1:
			if g, ok := d.group(func(g group) bool { return g.kind == function }); ok {
				target = "data." + g.pkg + "." + g.name
				by = d.one(by, "count", "is_string", "object.get")
			}
		case 2:
			target = d.one("count", "upper", "startswith", "time.now_ns", "object.get", "to_number")
			by = d.one(by, "lower", "count", "is_number", "endswith")
			if g, ok := d.group(func(g group) bool { return g.kind == function }); ok && d.oneIn(2) {
				by = "data." + g.pkg + "." + g.name
			}
		case 3:
			if len(d.packages) > 0 {
				target, by = "data."+d.one(d.packages...), d.one(by, `{"k": 1, "s": {"1": 2}}`)
			}
		}
		all += fmt.Sprintf(" with %s as %s", target, by)
	}
	return all
}
