package plan_test

import (
	"os"
	"path"
	"strings"
	"testing"

	texts "defenseclaw/engine/corpus"

	"github.com/open-policy-agent/opa/v1/ast"
)

// kinds are the eight policies of the module's corpus, each with its median input.
func kinds(t testing.TB) []corpusOfKind {
	t.Helper()
	all, err := texts.Kinds(os.DirFS("../../../../policies/rego"))
	if err != nil {
		t.Fatal(err)
	}
	var out []corpusOfKind
	for _, k := range all {
		data, modules := "{}", []string(nil)
		for name, text := range k.Files {
			if path.Ext(name) == ".json" {
				data = text
			} else {
				modules = append(modules, text)
			}
		}
		o := corpusOfKind{name: k.Name, corpus: mustCorpus(t, data, modules...), ref: ast.MustParseRef("data." + strings.ReplaceAll(k.Path, "/", "."))}
		for _, input := range k.Inputs {
			if input.Size == "median" {
				o.median = ast.MustParseTerm(input.JSON)
			}
		}
		out = append(out, o)
	}
	return out
}

type corpusOfKind struct {
	name   string
	corpus *corpus
	ref    ast.Ref
	median *ast.Term
}

func BenchmarkKinds(b *testing.B) {
	for _, k := range kinds(b) {
		b.Run(k.name, func(b *testing.B) {
			program, err := k.corpus.program(b.Context(), k.ref)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := program.Evaluate(call(b.Context(), k.median, false)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
