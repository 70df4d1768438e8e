package eval

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine/internal/compile"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/store"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load makes an evaluator of files as package engine does.
func load(tb testing.TB, files map[string]string) *Evaluator {
	tb.Helper()
	return loadWith(tb, files, Config{})
}

func loadWith(tb testing.TB, files map[string]string, cfg Config) *Evaluator {
	tb.Helper()
	src := fstest.MapFS{}
	for name, text := range files {
		src[name] = &fstest.MapFile{Data: []byte(text)}
	}
	reading, err := source.Read(tb.Context(), src, source.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	parsed, _, err := parse.All(tb.Context(), reading, nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	var modules []*unit.Module
	for _, p := range parsed {
		if p.Wrong != nil {
			tb.Fatal(p.Wrong)
		}
		if p.Unit != nil {
			modules = append(modules, p.Unit)
		}
	}
	root, conflicts := parse.Merge(parsed)
	if len(conflicts) > 0 {
		tb.Fatal(conflicts)
	}
	data := store.New(root)
	policy, err := compile.Build(tb.Context(), nil, compile.Edit{Added: modules, Data: data}, func() []*unit.Module { return modules })
	if err != nil {
		tb.Fatal(err)
	}
	return New(policy, data, cfg)
}

// answerOf is a value, or the code of an error.
func answerOf(tb testing.TB, e *Evaluator, path Path, input ast.Value) string {
	tb.Helper()
	return answerIn(tb, e, Strict, path, input)
}

func answerIn(tb testing.TB, e *Evaluator, mode Mode, path Path, input ast.Value) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute) // the machine may be busy
	defer cancel()
	v, err := e.Evaluate(ctx, path, input, mode)
	switch {
	case err != nil:
		code, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "evaluate "+path.String()+": "), ":")
		return "error " + code
	case v == nil:
		return "undefined"
	default:
		return v.String()
	}
}

func TestAPathWithAnothersKeyIsRefused(t *testing.T) {
	e := load(t, map[string]string{"p.rego": "package p\nq := 1\n"})
	for range 2 {
		for _, of := range []struct {
			path Path
			want string
		}{{Path{"p", "q"}, "1"}, {Path{"p\x00q"}, "error the path is no Rego reference"}} {
			if got := answerOf(t, e, of.path, nil); got != of.want {
				t.Errorf("%q is %s; want %s", of.path, got, of.want)
			}
		}
	}
}

// BenchmarkPlan finds the plan of a path that has one.
func BenchmarkPlan(b *testing.B) {
	e := load(b, map[string]string{"p.rego": "package defenseclaw.admission\nallow := true\n"})
	path := Path{"defenseclaw", "admission", "allow"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.plan(path); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEvaluateIndexed groups 500 members of the input by a comprehension that the evaluator looks up in
// an index, and computes once for each member without one.
func BenchmarkEvaluateIndexed(b *testing.B) {
	e := load(b, map[string]string{"p.rego": `package p
by_zone[zone] := ports if {
	some i
	zone := input.open[i].zone
	ports := [port | some j; input.open[j].zone == zone; port := input.open[j].port]
}
`})
	var open []string
	for i := range 500 {
		open = append(open, fmt.Sprintf(`{"zone": "z%d", "port": %d}`, i%50, i))
	}
	input := ast.MustParseTerm(`{"open": [` + strings.Join(open, ",") + `]}`).Value
	b.ReportAllocs()
	for b.Loop() {
		if v, err := e.Evaluate(b.Context(), Path{"p", "by_zone"}, input, Strict); v == nil || err != nil {
			b.Fatal(v, err)
		}
	}
}
