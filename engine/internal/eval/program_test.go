package eval

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

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
	var p, steep program
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
	for range 2 {
		steep.timed(5000, 200)
	}
	if steep.modes[Strict].why.Load() != nil {
		t.Error("given up for what may have been two collections of garbage")
	}
	steep.timed(5000, 200)
	if steep.modes[Strict].why.Load() == nil {
		t.Error("a program that takes very much longer is used")
	}
}

// TestAProgramOverACliffIsGivenUp has a rule of which OPA's evaluator makes one member, since the key is known, and a program
// all 10,000.
func TestAProgramOverACliffIsGivenUp(t *testing.T) {
	e := load(t, map[string]string{"p.rego": `package p
q[k] := v if { some k, v in data.members; v != input.not }
x := q[input.k]
`, "data.json": `{"members": {` + members(10_000) + `}}`})
	path, input := Path{"p", "x"}, ast.MustParseTerm(`{"k": "m77", "not": 5}`).Value
	if err := e.Compile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	const decisions = 600
	for range decisions {
		if got := answerOf(t, e, path, input); got != "77" {
			t.Fatalf("q.m77 is %s", got)
		}
	}
	w := e.Ways()[0]
	if w.Program || !strings.Contains(w.Why, "it takes") || w.ByProgram > 1<<comparisons {
		t.Errorf("the path is decided so: %+v", w)
	}
	t.Logf("given up after %d decisions: %s", w.ByProgram, w.Why)
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `, "m%d": %[1]d`, i)
	}
	return b.String()[2:]
}

// TestALoopOfAProgramEndsAtItsDeadline has 10⁹ iterations, and no second try by OPA's evaluator.
func TestALoopOfAProgramEndsAtItsDeadline(t *testing.T) {
	e := load(t, map[string]string{"p.rego": `package p
n := numbers.range(1, 1000)
x if { some a in n; some b in n; some c in n; a + b + c == input.sum }
`})
	path := Path{"p", "x"}
	if err := e.Compile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := e.Evaluate(ctx, path, ast.MustParseTerm(`{"sum": 0}`).Value, Strict)
	if !errors.Is(err, ErrTimeout) {
		t.Errorf("the decision ended with %v", err)
	}
	if w := e.Ways()[0]; !w.Program || w.ByProgram != 1 || w.Asked != 0 {
		t.Errorf("the path is decided so: %+v", w)
	}
}

// TestDecisionsOnLargeInputsKeepNoMemory makes decisions of inputs of a megabyte, from their text and from their value.
func TestDecisionsOnLargeInputsKeepNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	e := load(t, map[string]string{"p.rego": `package p
x := count({r.id | some r in input.rows; r.id != data.none})
y := {r.id: r.name | some r in input.rows; r.n > 5}
`, "data.json": `{"none": "u1"}`})
	var rows strings.Builder
	for i := range 16_000 {
		fmt.Fprintf(&rows, `, {"id": "u%d", "name": "name of %[1]d", "n": %d, "rest": [1]}`, i, i%10)
	}
	text := []byte(`{"rows": [` + rows.String()[2:] + `]}`)
	paths := []Path{{"p", "x"}, {"p", "y"}}
	for _, path := range paths {
		if err := e.Compile(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	decide := func(n int) (heap uint64) {
		for i := range n {
			copied := bytes.Replace(text, []byte(`"u1"`), fmt.Appendf(nil, `"other%d"`, i), 1) // so that no input is another
			input, err := e.ReadInput(paths[i%2], copied)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := e.Append(t.Context(), nil, paths[i%2], input, Strict); err != nil {
				t.Fatal(err)
			}
		}
		var m runtime.MemStats
		for range 3 { // what a pool holds goes with the second
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := decide(20)
	after := decide(120)
	if grown := int64(after) - int64(before); grown > 4<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	for _, w := range e.Ways() {
		if w.ByProgram < 70 || w.Asked > 0 || !w.Program {
			t.Errorf("the path is decided so: %+v", w)
		}
	}
}
