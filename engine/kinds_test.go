package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"defenseclaw/engine/corpus"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// caseOf is a kind of the corpus as a case, with inputs that are changed a little, about n of each size but the largest.
func caseOf(t testing.TB, k corpus.Kind, n int) sameCase {
	t.Helper()
	path, err := ParsePath(k.Path)
	if err != nil {
		t.Fatal(err)
	}
	c := sameCase{data: "{}", paths: []Path{path, path[:len(path)-1]}}
	for name, text := range k.Files {
		if filepath.Ext(name) == ".json" {
			c.data = text
		} else {
			c.modules = append(c.modules, drawnModule{file: name, written: text})
		}
	}
	for _, input := range k.Inputs {
		c.inputs = append(c.inputs, input.JSON)
		if n == 0 || input.Size == "large" {
			continue
		}
		changed := smallerJSON(input.JSON)
		for i := 0; i < len(changed); i += 1 + len(changed)/n {
			c.inputs = append(c.inputs, changed[i])
		}
	}
	return c
}

func kinds(t testing.TB) []corpus.Kind {
	t.Helper()
	all, err := corpus.Kinds(os.DirFS("../policies/rego"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSamenessOfKinds(t *testing.T) {
	for _, k := range kinds(t) {
		all := &tally{codes: map[string]int{}}
		diff, _, err := compareCase(t.Context(), caseOf(t, k, 5), all)
		if err != nil || diff != nil || all.decisions+all.slow < 50 { // a busy machine makes some too slow to compare
			t.Errorf("%s: %d decisions; %v %v %v", k.Name, all.decisions, diff, err, all.codes)
		}
	}
}

// BenchmarkDecideKinds is one decision by each kind of policy, from the text of the input to the text of the answer, and
// evaluation alone: by a generation that is warm, and by a query that package rego prepared.
func BenchmarkDecideKinds(b *testing.B) {
	for _, k := range kinds(b) {
		d := deciderOf(b, k)
		for _, input := range k.Inputs {
			d.input = []byte(input.JSON)
			b.Run(k.Name+"/"+input.Size+"/Text/Ours", d.textByOurs)
			b.Run(k.Name+"/"+input.Size+"/Text/Topdown", d.textByTopdown)
			b.Run(k.Name+"/"+input.Size+"/Evaluation/Ours", d.evaluationByOurs)
			b.Run(k.Name+"/"+input.Size+"/Evaluation/Topdown", d.evaluationByTopdown)
		}
	}
}

type decider struct {
	g        *Generation
	prepared *rego.PreparedEvalQuery
	path     Path
	input    []byte
}

func (d decider) textByOurs(b *testing.B) {
	b.ReportAllocs()
	var text []byte
	for b.Loop() {
		input, err := d.g.ReadInput(d.path, d.input)
		if err != nil {
			b.Fatal(err)
		}
		if text, _, err = d.g.AppendDecision(b.Context(), text[:0], d.path, input); err != nil {
			b.Fatal(err)
		}
	}
}

func (d decider) evaluationByOurs(b *testing.B) {
	b.ReportAllocs()
	input, err := ParseJSON(d.input)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if value, err := d.g.Evaluate(b.Context(), d.path, input); err != nil || value == nil {
			b.Fatal(value, err)
		}
	}
}

// evaluate keeps the value as topdown has it: Go values would cost it more.
func (d decider) evaluate(b *testing.B, input ast.Value) (value ast.Value) {
	_, err := d.prepared.Eval(b.Context(), rego.EvalParsedInput(input), rego.EvalGenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) {
		value = t.Value
		return nil, nil
	}))
	if err != nil || value == nil {
		b.Fatal(value, err)
	}
	return value
}

func (d decider) textByTopdown(b *testing.B) {
	b.ReportAllocs()
	var text []byte
	for b.Loop() {
		input, err := ast.ValueFromReader(bytes.NewReader(d.input))
		if err != nil {
			b.Fatal(err)
		}
		if text, err = d.g.AppendJSON(text[:0], d.evaluate(b, input)); err != nil {
			b.Fatal(err)
		}
	}
}

func (d decider) evaluationByTopdown(b *testing.B) {
	b.ReportAllocs()
	input, err := ast.ValueFromReader(bytes.NewReader(d.input))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d.evaluate(b, input)
	}
}

// deciderOf is a kind of policy with a generation that is warm, and a query that package rego prepared. It has no input.
func deciderOf(b *testing.B, k corpus.Kind) decider {
	b.Helper()
	c := caseOf(b, k, 0)
	g, err := c.generation(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range ways {
		if err := way.reach(b.Context(), g, c.paths[0]); err != nil {
			b.Fatal(err)
		}
	}
	o, err := newOPAs(c)
	if err != nil {
		b.Fatal(err)
	}
	prepared, err := rego.New(rego.Query(c.paths[0].String()), rego.Compiler(o.compiler), rego.Store(o.store)).PrepareForEval(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return decider{g, &prepared, c.paths[0], nil}
}
