package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A drawer draws policies, data and inputs in which every construct of Rego occurs, rightly typed for the most part. The
// same seed draws the same ones.
type drawer struct {
	*rand.Rand

	groups   []group  // that the rule being drawn may refer to
	packages []string // whose rules are all drawn
	pkg      string   // of the rule being drawn
	vars     []string // that are bound where an expression is drawn
	names    int      // of variables, so far
}

func (d *drawer) one(of ...string) string { return of[d.IntN(len(of))] }

// oneIn is true once in n times.
func (d *drawer) oneIn(n int) bool { return d.IntN(n) == 0 }

var (
	numberTexts = []string{
		"0", "1", "1", "2", "3", "-1", "10", "1.0", "1.5", "0.1", "1e2", "1E+2", "-0.5", "1e400", "12345678901234567890",
		"3", "5", "9007199254740993", "0.30000000000000004", "1e-7", "3.0", "-9223372036854775808",
		"-0", "0.0", "-0.0", "1.10", "100", "1e308", "18446744073709551616", "1e-400", "4503599627370496.5", "0e5",
	}
	stringTexts = []string{
		`"a"`, `"b"`, `"alice"`, `"dev"`, `""`, `"1"`, `"10"`, `"é"`, `"ключ"`, `"😀 x"`, `"a.b"`, `"a/b"`, `"A"`, `"%s"`, `"\u0000"`, `"e\u0301"`,
		`"1.0"`, `"10.0.0.1"`, `"10.0.0.0/8"`, `"1.2.3"`, `"true"`, `"{\"a\": [1, 1.0]}"`, `"YWJj"`, `"2024-01-01T00:00:00Z"`, `"5m"`, `"\"<>&"`,
		`"007"`, `"-0"`, `"0"`, `"2"`, `"1e400"`, `"+1"`, `" 1"`, `"0x10"`, `"NaN"`, `"\ud83d\ude00"`, `"\u2028\t\\"`, `"ß"`, `"İ"`, `"e1"`, `"null"`,
	}
	keyTexts = []string{`"a"`, `"b"`, `"1"`, `"10"`, `"1.0"`, `"é"`, `"list"`, `"k"`, `"role"`, `"true"`, `"a.b"`, `""`, `"0"`, `"-0"`, `"007"`, `"1e0"`, `"\u0000"`, `"b b"`}
)

// number is seldom one that float64 does not hold: no program decides where the data has one.
func (d *drawer) number() string {
	text := d.one(numberTexts...)
	if strings.HasSuffix(text, "400") && !d.oneIn(6) {
		return "1"
	}
	return text
}

func (d *drawer) text() string { return d.one(stringTexts...) }

func (d *drawer) scalar() string {
	switch d.IntN(8) {
	case 0:
		return "null"
	case 1:
		return d.one("true", "false")
	case 2, 3, 4:
		return d.number()
	default:
		return d.text()
	}
}

// fresh is a variable of its own.
func (d *drawer) fresh() string {
	d.names++
	return fmt.Sprintf("v%d", d.names)
}

// within draws with more variables, which are forgotten after it.
func (d *drawer) within(f func() string) string {
	before := len(d.vars)
	text := f()
	d.vars = d.vars[:before]
	return text
}

// expr draws an expression of any type.
func (d *drawer) expr(depth int) string {
	if depth <= 0 {
		return d.leaf()
	}
	switch d.IntN(18) {
	case 16:
		return d.composite(depth)
	case 17:
		return d.nestedComprehension()
	case 0, 1, 2, 3:
		return d.leaf()
	case 4:
		return d.reference(depth)
	case 5, 6:
		return d.call(depth)
	case 7, 8, 9:
		return d.builtin(depth)
	case 10:
		return d.comprehension(depth)
	case 11:
		return fmt.Sprintf("[%s, %s]", d.expr(depth-1), d.expr(depth-1))
	case 12:
		return fmt.Sprintf("{%s: %s}", d.expr(depth-1), d.expr(depth-1))
	case 13:
		return fmt.Sprintf("{%s, %s}", d.expr(depth-1), d.scalar())
	case 14:
		return fmt.Sprintf("(%s in %s)", d.expr(depth-1), d.collection(depth-1))
	default:
		return fmt.Sprintf("(%s %s %s)", d.expr(depth-1), d.one("==", "!=", "<", "<=", ">", ">="), d.expr(depth-1))
	}
}

func (d *drawer) leaf() string {
	switch d.IntN(10) {
	case 0, 1:
		return d.scalar()
	case 2, 3, 4:
		if len(d.vars) > 0 {
			return d.one(d.vars...)
		}
		return d.input()
	case 5, 6:
		return d.input()
	case 7:
		return d.data()
	default:
		return d.value()
	}
}

func (d *drawer) input() string {
	return d.one("input.a", "input.b", "input.list", "input.list[0]", "input.obj", "input.obj.a", "input.n[1]", `input.n["1"]`, "input.s", "input",
		"input.obj[input.s]", "input.list[1].a", `input["é"]`, "input.num", "input.missing")
}

func (d *drawer) data() string {
	text := d.one("data.d.n", "data.d.n[1]", `data.d.n["1"]`, "data.d.list", "data.d.list[0]", "data.d.users", "data.d.users.alice", "data.d.s", "data.d.big",
		"data.d.deep.a.b", "data.d.users[%s].role", "data.d.n[%s]", "data.d.list[%s]", "data.d[%s]", "data.a.base", "data.a.z[%s]", "data.d.missing")
	if strings.Contains(text, "%s") {
		text = fmt.Sprintf(text, d.key())
	}
	return text
}

// key is what a reference may be indexed with.
func (d *drawer) key() string {
	if len(d.vars) > 0 && d.oneIn(2) {
		return d.one(d.vars...)
	}
	if d.oneIn(24) {
		return d.one("[1]", "true", "{}", `["a", 1]`, "{1}", "-1", "1e400", "input.list")
	}
	return d.one("1", "0", `"1"`, `"a"`, `"alice"`, `"é"`, "input.a", "input.b", "input.s", "1.0", "null", "input.num", `"k"`)
}

// value refers to the value of a rule, a part of it or a package.
func (d *drawer) value() string {
	if len(d.packages) > 0 && d.oneIn(10) {
		text := "data." + d.one(d.packages...)
		if d.oneIn(3) {
			text += fmt.Sprintf("[%s]", d.key())
		}
		return text
	}
	g, ok := d.group(func(g group) bool { return g.kind != function })
	if !ok {
		return d.data()
	}
	text := d.refTo(g)
	for n := d.IntN(3); n > 0 && g.kind != complete; n-- {
		if g.kind == nested && d.oneIn(2) {
			text += d.one(".a", ".b", ".a.b")
		} else {
			text += fmt.Sprintf("[%s]", d.key())
		}
	}
	return text
}

func (d *drawer) refTo(g group) string {
	if g.pkg == d.pkg && d.oneIn(2) {
		return g.name
	}
	return "data." + g.pkg + "." + g.name
}

func (d *drawer) group(fits func(group) bool) (group, bool) {
	var all []group
	for _, g := range d.groups {
		if fits(g) {
			all = append(all, g)
		}
	}
	if len(all) == 0 {
		return group{}, false
	}
	return all[d.IntN(len(all))], true
}

// reference looks something up in what an expression makes.
func (d *drawer) reference(depth int) string {
	if d.oneIn(2) {
		return fmt.Sprintf("object.get(%s, %s, %s)", d.expr(depth-1), d.key(), d.scalar())
	}
	return fmt.Sprintf("[%s, %s][%s]", d.expr(depth-1), d.expr(depth-1), d.one("0", "1", "2", "input.num"))
}

func (d *drawer) call(depth int) string {
	g, ok := d.group(func(g group) bool { return g.kind == function })
	if !ok {
		return d.builtin(depth)
	}
	var args []string
	for range g.arity {
		args = append(args, d.expr(depth-1))
	}
	return fmt.Sprintf("%s(%s)", d.refTo(g), strings.Join(args, ", "))
}

// collection draws what can be walked, for the most part.
func (d *drawer) collection(depth int) string {
	switch d.IntN(12) {
	case 0:
		return d.one("data.d.list", "data.d.users", "data.d.n", "data.d")
	case 1, 2:
		return d.one("input.list", "input.obj", "input.n", "input")
	case 3:
		return fmt.Sprintf("[%s, %s, %s]", d.expr(depth-1), d.scalar(), d.scalar())
	case 4:
		return fmt.Sprintf("{%s, %s}", d.expr(depth-1), d.scalar())
	case 5:
		return fmt.Sprintf("{%s: %s, %s: %s}", d.one(keyTexts...), d.expr(depth-1), d.one(keyTexts[:4]...), d.scalar())
	case 6:
		return "numbers.range(1, 3)"
	case 7, 8:
		if g, ok := d.group(func(g group) bool { return g.kind == partialSet || g.kind == partialObject || g.kind == nested }); ok {
			return d.refTo(g)
		}
		return "data.d.list"
	case 9:
		if depth > 0 {
			return d.comprehension(depth)
		}
		return "[]"
	case 10:
		return d.one("[]", "{}", "set()", "data.d.empty")
	default:
		return d.leaf()
	}
}

func (d *drawer) comprehension(depth int) string {
	return d.within(func() string {
		body := d.body(1+d.IntN(2), depth-1)
		head := d.expr(depth - 1)
		switch d.IntN(3) {
		case 0:
			return fmt.Sprintf("[%s | %s]", head, body)
		case 1:
			return fmt.Sprintf("{%s | %s}", head, body)
		default:
			return fmt.Sprintf("{%s: %s | %s}", d.expr(0), head, body)
		}
	})
}

// body draws n statements, the first of which binds a variable, for the most part.
func (d *drawer) body(n, depth int) string {
	var all []string
	for i := range n {
		if i == 0 && d.oneIn(2) {
			all = append(all, d.binding(depth))
		} else {
			all = append(all, d.statement(depth))
		}
	}
	return strings.Join(all, "; ")
}

// binding binds one variable or two.
func (d *drawer) binding(depth int) string {
	a, b := d.fresh(), d.fresh()
	var text string
	switch d.IntN(14) {
	case 9, 10:
		return d.pattern(depth)
	case 11, 12, 13:
		return d.search()
	case 0, 1:
		text = fmt.Sprintf("some %s in %s", a, d.collection(depth))
	case 2, 3:
		text = fmt.Sprintf("some %s, %s in %s", b, a, d.collection(depth))
		d.vars = append(d.vars, b)
	case 4, 5:
		text = fmt.Sprintf("%s := %s", a, d.expr(depth))
	case 6:
		text = fmt.Sprintf("some %s; %s[%s] = %s", b, d.one("data.d.n", "data.d.list", "input.obj", "input.list", "data.d.users"), b, d.one("_", d.expr(0)))
		a = b
	case 7:
		text = fmt.Sprintf("[%s, %s] = %s", a, b, d.one("input.list", "data.d.list", fmt.Sprintf("[%s, %s]", d.expr(0), d.expr(0))))
		d.vars = append(d.vars, b)
	default:
		text = fmt.Sprintf("walk(%s, [%s, %s])", d.one("input.obj", "data.d.deep", "data.d.n", "input.list"), b, a)
		d.vars = append(d.vars, b)
	}
	d.vars = append(d.vars, a)
	return text
}

func (d *drawer) statement(depth int) string {
	switch d.IntN(16) {
	case 14:
		return "not " + d.within(func() string { return d.condition(depth) + d.with(depth) })
	case 15:
		return d.everyWith(depth)
	case 0, 1:
		return d.binding(depth)
	case 2, 3:
		return "not " + d.within(func() string { return d.condition(depth) })
	case 4:
		return d.within(func() string {
			k, v := d.fresh(), d.fresh()
			over := d.collection(depth)
			d.vars = append(d.vars, k, v)
			return fmt.Sprintf("every %s, %s in %s { %s }", k, v, over, d.body(1, depth-1))
		})
	case 5:
		return d.within(func() string {
			v := d.fresh()
			over := d.collection(depth)
			d.vars = append(d.vars, v)
			return fmt.Sprintf("every %s in %s { %s }", v, over, d.body(1, depth-1))
		})
	case 6, 7:
		return d.condition(depth) + d.with(depth)
	case 8:
		return fmt.Sprintf("%s = %s", d.expr(depth), d.expr(0))
	default:
		return d.condition(depth)
	}
}

func (d *drawer) condition(depth int) string {
	switch d.IntN(8) {
	case 0, 1, 2:
		return fmt.Sprintf("%s %s %s", d.expr(depth), d.one("==", "==", "!=", "<", "<=", ">", ">="), d.expr(depth-1))
	case 3:
		return fmt.Sprintf("%s in %s", d.expr(depth-1), d.collection(depth))
	case 4:
		return fmt.Sprintf("%s, %s in %s", d.key(), d.expr(depth-1), d.collection(depth))
	case 5:
		return d.value()
	default:
		text := d.expr(depth)
		if strings.Contains(text, " | ") && !d.oneIn(8) {
			text += " != 1" // a comprehension alone is left to OPA's evaluator
		}
		return text
	}
}
