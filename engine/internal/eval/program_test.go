package eval

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

func TestAProgramThatDiffersIsGivenUp(t *testing.T) {
	e := load(t, map[string]string{"p.rego": "package p\nx := 1\ny := 2\n"})
	e.cfg.Shadow = 1
	var found []Difference
	e.cfg.OnDifference = func(d Difference) { found = append(found, d) }
	x, y := Path{"p", "x"}, Path{"p", "y"}
	for _, path := range []Path{x, y} {
		if err := e.Compile(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	px, _ := e.plan(x)
	py, _ := e.plan(y)
	px.program.Store(py.program.Load()) // which stands for a mistake of ours
	for range 3 {
		if got := answerOf(t, e, x, nil); got != "1" {
			t.Errorf("p.x is %s", got)
		}
	}
	if len(found) != 1 || found[0].Program.String() != "2" || found[0].OPA.String() != "1" {
		t.Errorf("differences: %v", found)
	}
	if w := px.way(); w.Program || w.Differed != 1 || w.Why == "" {
		t.Errorf("the path is decided so: %+v", w)
	}
}

func TestAProgramThatAsksTooOftenIsNotUsedInThatMode(t *testing.T) {
	e := load(t, map[string]string{"p.rego": `package p
x if { some s in input; to_number(s) > 0 }
`})
	path := Path{"p", "x"}
	if err := e.Compile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	fails := ast.MustParseTerm(`["a", "1"]`).Value
	for range 20 {
		if got := answerOf(t, e, path, fails); got != "error p.rego" {
			t.Errorf("strictly it is %s", got)
		}
		if v, err := e.Evaluate(t.Context(), path, fails, Lenient); err != nil || v != ast.Boolean(true) {
			t.Errorf("leniently it is %v, %v", v, err)
		}
	}
	p, _ := e.plan(path)
	modes := &p.program.Load().modes
	if modes[Strict].why.Load() == nil || modes[Strict].decisions.Load() > 10 {
		t.Errorf("strictly the program is asked all the same, %d times", modes[Strict].decisions.Load())
	}
	if modes[Lenient].why.Load() != nil || modes[Lenient].asked.Load() != 0 {
		t.Error("leniently the program is not used, though it decides")
	}
}

func TestProgramsAreTakenOver(t *testing.T) {
	files := map[string]string{"p.rego": "package p\nx := data.d\n", "q.rego": "package q\nx := 1\n", "data.json": `{"d": [1]}`}
	before := load(t, files)
	for _, path := range []Path{{"p", "x"}, {"q", "x"}} {
		if err := before.Compile(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		answerOf(t, before, path, nil)
	}
	files["data.json"] = `{"d": [2]}`
	after := load(t, files)
	after.TakeOver(t.Context(), before, func() bool { return true })
	for path, want := range map[string]string{"p": "[2]", "q": "1"} {
		p, _ := after.plan(Path{path, "x"})
		if p.program.Load() == nil {
			t.Fatalf("%s.x has no program", path)
		}
		if got := answerOf(t, after, p.path, nil); got != want {
			t.Errorf("%s.x is %s; want %s", path, got, want)
		}
	}
	// The same modules, and data that is or is not the same.
	same := New(after.policy, after.data, Config{})
	same.TakeOver(t.Context(), after, func() bool { return true })
	p, _ := same.plan(Path{"p", "x"})
	q, _ := after.plan(Path{"p", "x"})
	if p.program.Load().run != q.program.Load().run {
		t.Error("a program of the same modules and data was made again")
	}
	other := New(after.policy, before.data, Config{})
	other.TakeOver(t.Context(), after, func() bool { return true })
	if got := answerOf(t, other, Path{"p", "x"}, nil); got != "[1]" {
		t.Errorf("with other data, p.x is %s", got)
	}
}

func TestASlowProgramIsGivenUp(t *testing.T) {
	var p program
	for range comparisons - 1 {
		p.timed(300, 200)
	}
	if p.modes[Strict].why.Load() != nil {
		t.Error("given up before it was compared often enough")
	}
	p.timed(300, 200)
	if p.modes[Strict].why.Load() == nil || p.modes[Lenient].why.Load() == nil {
		t.Error("a program that takes longer is used")
	}
}
