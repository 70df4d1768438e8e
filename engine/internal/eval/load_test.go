package eval

import (
	"context"
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
	return New(policy, data, Config{})
}

// answerOf is a value, or the code of an error.
func answerOf(tb testing.TB, e *Evaluator, path Path, input ast.Value) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute) // the machine may be busy
	defer cancel()
	v, err := e.Evaluate(ctx, path, input)
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

// BenchmarkPlan compares the path of the decision before with two paths in turn: what the comparison with the
// last plan saves.
func BenchmarkPlan(b *testing.B) {
	e := load(b, map[string]string{"p.rego": "package defenseclaw.admission\nallow := true\ndeny := false\n"})
	same := []Path{{"defenseclaw", "admission", "allow"}, {"defenseclaw", "admission", "allow"}}
	turns := []Path{{"defenseclaw", "admission", "allow"}, {"defenseclaw", "admission", "deny"}}
	for name, paths := range map[string][]Path{"same": same, "turns": turns} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := e.plan(paths[i%2]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
