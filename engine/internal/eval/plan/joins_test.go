package plan_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"defenseclaw/engine/internal/eval/plan"

	"github.com/open-policy-agent/opa/v1/ast"
)

var joinsFlag = flag.Int("joins", 40, "compare this many policies with joins with OPA's evaluator")

// joinDrawer draws policies whose loops have indexes, and what an index must not get wrong before and after them.
type joinDrawer struct{ *rand.Rand }

func (d joinDrawer) one(of ...string) string { return of[d.IntN(len(of))] }

func (d joinDrawer) scalar() string {
	return d.one("1", "1.0", "10e-1", `"1"`, `"a"`, `"a"`, `"b"`, `"A"`, "null", "false", "true", "0", "-0.0", "2", "100", "1e2", "9007199254740993", `""`)
}

func (d joinDrawer) member() string {
	switch d.IntN(8) {
	case 0:
		return "[" + d.scalar() + ", " + d.scalar() + "]"
	case 1:
		return `{"b": ` + d.scalar() + "}"
	default:
		return d.scalar()
	}
}

// element is an object for the most part, in which members are missing.
func (d joinDrawer) element() string {
	if d.IntN(12) == 0 {
		return d.one(d.scalar(), "[1, \"a\"]", `["a", {"name": "a"}]`, "{}", "[]")
	}
	var members []string
	for _, name := range []string{"name", "id", "flag", "1", "c"} {
		if d.IntN(5) > 0 {
			members = append(members, fmt.Sprintf("%q: %s", name, d.member()))
		}
	}
	if d.IntN(2) == 0 {
		members = append(members, `"a": {"b": `+d.member()+"}")
	}
	if d.IntN(2) == 0 {
		members = append(members, `"roles": [`+d.scalar()+", "+d.scalar()+"]")
	}
	return "{" + strings.Join(members, ", ") + "}"
}

func (d joinDrawer) list(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = d.element()
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func (d joinDrawer) object(n int) string {
	all := make([]string, n)
	for i := range all {
		name := fmt.Sprint(i)
		if i%2 == 0 {
			name = d.one("a", "b", "k") + name
		}
		all[i] = fmt.Sprintf("%q: %s", name, d.element())
	}
	return `{"a": ` + d.element() + ", " + strings.Join(all, ", ") + "}"
}

func (d joinDrawer) sought() string {
	return d.one("input.x", "input.x", "input.y", "input.o.b", "input.o", d.scalar(), "some_rule", "lower(input.x)", "to_number(input.x)", "count(input.l)",
		"data.obj[input.x].name", "data.list[0].name", "input.l[0].name", "x", "other(input.y)", `{"b": 1}`, "fails", "data.scalar")
}

func (d joinDrawer) source() string {
	return d.one("data.list", "data.list", "data.list", "data.obj", "data.deep.list", "data.deep", "part", "objs", "made", "input.l", "data.few", "{u | some u in input.l}",
		"data.obj.a.roles", "whole", "given")
}

func (d joinDrawer) test(v, k string) string {
	part := d.one(".name", ".name", ".id", ".a.b", `["1"]`, "[1]", `["0"]`, "", ".roles", ".flag", "[input.k]")
	switch d.IntN(14) {
	case 0, 1, 2, 3:
		return fmt.Sprintf("%s%s == %s", v, part, d.sought())
	case 4:
		return fmt.Sprintf("%s == %s%s", d.sought(), v, part)
	case 5:
		return fmt.Sprintf("%s%s = %s", v, part, d.sought())
	case 6:
		return fmt.Sprintf("%s == %s", k, d.sought())
	case 7:
		return fmt.Sprintf("%s%s != %s", v, part, d.sought())
	case 8:
		return fmt.Sprintf("not %s%s == %s", v, part, d.sought())
	case 9:
		return v + part
	case 10:
		return d.one("fails", "some_rule", "startswith("+v+".name, \"a\")", "to_number("+v+".name)", "other("+v+part+")", "is_string("+v+".name)")
	case 11:
		return fmt.Sprintf("%s in %s", d.sought(), d.one(v+".roles", "data.scalars", "data.list", v, "data.many", "data.many", "data.named", "input.many"))
	case 12:
		return fmt.Sprintf("every q in %s { q.name == %s }", d.one(v+".roles", "data.few", d.source()), d.sought())
	default:
		return fmt.Sprintf("some w%d in %s; w%[1]d.name == %[3]s%[4]s", d.IntN(1000), d.source(), v, d.one(".name", ".id", part))
	}
}

func (d joinDrawer) body() string {
	text, _ := d.bodyWith()
	return text
}

// bodyWith returns the variable of the loop as well.
func (d joinDrawer) bodyWith() (text, v string) {
	i := d.IntN(1000)
	v = fmt.Sprintf("u%d", i)
	k := fmt.Sprintf("k%d", i)
	loop := d.one("some %s, %s in %s", "some %s, %s in %s", "some %[1]s; %[2]s := %[3]s[%[1]s]")
	lines := []string{fmt.Sprintf(loop, k, v, d.source()), k + " != \"never\""}
	if d.IntN(4) == 0 {
		lines = append([]string{"x := " + d.sought()}, lines...)
		lines[0] = strings.ReplaceAll(lines[0], "x := x", "x := 1")
	} else {
		lines = append([]string{"x := input.x"}, lines...)
	}
	for range 1 + d.IntN(3) {
		lines = append(lines, d.test(v, k))
	}
	for range d.IntN(2) {
		lines = append(lines, d.one("with_data", "p with data.list as input.l", "p with input.x as 1.0", "q(x)", "not p with data.list as []", "every e in data.list { is_object(e) }"))
	}
	return strings.Join(lines, "\n\t"), v
}

const joinRules = `package j

some_rule := input.y if input.y

fails := to_number(input.x) if input.x

whole := data.list

given := input.l

other(z) := z if {
	z != "b"
}

part contains u if some u in data.list

part contains u if some u in input.l

objs[k] := u if some k, u in data.obj

made := [u | some u in data.list; u.name]

p if {
	some u in data.list
	u.name == input.x
}

q(z) if {
	some u in data.list
	u.id == z
	u.flag
}

with_data if p with data.list as [{"name": input.x}]
`

func (d joinDrawer) module() string {
	text := joinRules
	for i := range 5 {
		rule := fmt.Sprintf("\n%s if {\n\t%s\n}\n", d.one(fmt.Sprintf("r%d", i), fmt.Sprintf("r%d contains x", i), fmt.Sprintf("r%d[k] := x", i)), d.body())
		rule = strings.ReplaceAll(rule, "[k]", "[input.k]")
		switch d.IntN(5) {
		case 0:
			body, v := d.bodyWith()
			head := d.one("[x |", "["+v+" |", "["+v+".name |", "{"+v+" |", "{"+v+".id: x |", "{"+v+".id: "+v+" |")
			rule = fmt.Sprintf("\nr%d := %s\n\t%s\n%s\n", i, head, body, map[byte]string{'[': "]", '{': "}"}[head[0]])
		case 1:
			rule = fmt.Sprintf("\nr%d if not n%[1]d(1)\n\nn%[1]d(arg) if {\n\targ == 1\n\t%s\n}\n", i, d.body())
		case 2:
			rule = fmt.Sprintf("\nr%d := \"a\" if {\n\t%s\n} else := \"b\" if {\n\t%s\n}\n", i, d.body(), d.body())
		}
		if _, err := ast.ParseModuleWithOpts("", "package p\n"+rule, ast.ParserOptions{RegoVersion: ast.RegoV1}); err == nil {
			if _, err := newCorpus(map[string]string{"a": joinRules + rule}, nil); err == nil {
				text += rule
			}
		}
	}
	return text
}

func (d joinDrawer) data() string {
	return fmt.Sprintf(`{"list": %s, "obj": %s, "deep": {"list": %s, "1": {"name": "a"}}, "few": %s, "scalar": %s, "scalars": [%s, %s], "many": %s, "named": %s}`,
		d.list(16+d.IntN(20)), d.object(17+d.IntN(10)), d.list(20), d.list(2), d.scalar(), d.scalar(), d.scalar(),
		d.members(30), d.named(20))
}

// members is a long list of what may be looked for.
func (d joinDrawer) members(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = d.member()
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func (d joinDrawer) input() string {
	return fmt.Sprintf(`{"x": %s, "y": %s, "k": %s, "o": {"b": %s}, "l": %s, "many": %s}`, d.member(), d.scalar(), d.one(`"name"`, `"1"`, "1", `"id"`), d.scalar(), d.list(d.IntN(30)), d.members(70))
}

func TestAnIndexLeavesOutNoElementThatOPAFinds(t *testing.T) {
	rules, decided, all := 0, 0, 0
	for seed := range uint64(*joinsFlag) {
		d := joinDrawer{rand.New(rand.NewPCG(seed, 42))}
		module, data := d.module(), d.data()
		c := mustCorpus(t, data, module)
		inputs := make([]*ast.Term, 8)
		for i := range inputs {
			inputs[i] = ast.MustParseTerm(d.input())
		}
		for i := range 5 {
			ref := ast.MustParseRef(fmt.Sprintf("data.j.r%d", i))
			if len(c.compiler.GetRules(ref)) == 0 {
				continue
			}
			rules++
			p, err := c.program(t.Context(), ref)
			if errors.Is(err, plan.ErrAsk) {
				continue
			}
			if err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, module)
			}
			for _, input := range inputs {
				all++
				if c.sameAsTopdown(t, p, ref, input) {
					decided++
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d, %s\n%s\n%s", seed, ref, module, data)
			}
		}
	}
	t.Logf("%d rules, %d decisions, %d by programs in both modes", rules, all, decided)
	if decided < all/2 {
		t.Errorf("programs decided %d of %d", decided, all)
	}
}

func TestAnIndexThatIsNotMadeInTimeIsMadeByTheNextDecision(t *testing.T) {
	data := `{"users": [{}` + strings.Repeat(`, {"name": "a"}`, 5000) + `, {"name": "b", "id": 1}]}`
	p := mustProgram(t, mustCorpus(t, data, "package p\nx := u.id if { some u in data.users; u.name == input }"), "data.p.x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late := call(ctx, ast.StringTerm("b"), true)
	late.Cancel = until{ctx}
	if _, _, err := p.Evaluate(late); !errors.Is(err, plan.ErrCancelled) {
		t.Errorf("an index of 5,000 users was made after the deadline: %v", err)
	}
	for want := 4000; ; want = 0 { // the first decision makes the index
		v, steps, err := p.Evaluate(call(t.Context(), ast.StringTerm("b"), true))
		if err != nil || !same(v, ast.Number("1")) || steps < want || want == 0 && steps > 100 {
			t.Errorf("%v in %d steps, %v", v, steps, err)
		}
		if want == 0 {
			break
		}
	}
}

// named is an object of them.
func (d joinDrawer) named(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("\"k%d\": %s", i, d.member())
	}
	return "{" + strings.Join(all, ", ") + "}"
}
