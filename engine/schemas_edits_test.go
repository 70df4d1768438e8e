package engine

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/fstest"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/dialect"

	"github.com/open-policy-agent/opa/v1/ast"
	"pgregory.net/rapid"
)

// schemasOfAll is what one compiler finds by schemas that has all modules, as "opa check" does.
func schemasOfAll(t interface{ Fatal(...any) }, g *Generation, set *ast.SchemaSet) (found []string) {
	c := schemaCheck{modules: modulesOf(g.parsed)}
	c.prepare(set, func(name string, _ *ast.Location, err error) { t.Fatal(name, err) })
	compiler := dialect.NewSchemaCompiler(c.set)
	compiler.Compile(c.modules)
	return places(diagnostic.FromOPA(compiler.Errors, g.reading.Source).Sorted())
}

func places(list diagnostic.List) (all []string) {
	for _, d := range list {
		all = append(all, fmt.Sprintf("%s:%d: %s", d.File, d.Line, d.Message))
	}
	return all
}

// Whatever was edited before, the checks find what one compiler of all modules finds.
func TestSchemaChecksFollowEdits(t *testing.T) {
	t.Parallel()
	annotations := []string{
		"", "# METADATA\n# scope: package\n# schemas:\n# - input: {type: object, properties: {a: {type: string}}}\n",
		"# METADATA\n# scope: subpackages\n# schemas:\n# - input: {type: object, properties: {b: {type: number}}}\n",
		"# METADATA\n# scope: package\n# schemas:\n# - input: schema.named\n",
	}
	bodies := []string{
		"x := 1", "x := input.a", "x := input.b", "x := startswith(data.lib.x, \"c\")", "x := data.lib.y\ny := data.top.low.x + 1", "x contains data.top.x",
		"# METADATA\n# schemas:\n# - input: {type: object, properties: {c: {}}}\nx := input.a\n\ny := input.c", "f(v) := v.a\nx := f(input)",
	}
	packages := []string{"lib", "top", "top.low", "use", "top.low.deep"}
	set := ast.NewSchemaSet()
	set.Put(ast.MustParseRef("schema.named"), map[string]any{"type": "object", "properties": map[string]any{"a": map[string]any{"type": "boolean"}}})
	compared := 0
	rapid.Check(t, func(rt *rapid.T) {
		var schemas *ast.SchemaSet
		if rapid.Bool().Draw(rt, "set") {
			schemas = set
		}
		checks := NewSchemaChecks(schemas, nil)
		src := fstest.MapFS{"keep.rego": {Data: []byte("package keep\nx := 1")}}
		var g *Generation
		for range rapid.IntRange(1, 6).Draw(rt, "edits") {
			before := maps.Clone(src)
			for range rapid.IntRange(1, 3).Draw(rt, "files") {
				pkg := rapid.SampledFrom(packages).Draw(rt, "package")
				file := pkg + rapid.SampledFrom([]string{"", "2"}).Draw(rt, "file") + ".rego"
				if delete(src, file); rapid.IntRange(0, 4).Draw(rt, "remove") > 0 {
					text := rapid.SampledFrom(annotations).Draw(rt, "annotation") + "package " + pkg + "\n\n" + rapid.SampledFrom(bodies).Draw(rt, "body") + "\n"
					src[file] = &fstest.MapFile{Data: []byte(text)}
				}
			}
			next, err := Load(t.Context(), src, g)
			if err != nil {
				src = before // such as two annotations of one package
				continue
			}
			g = next
			got, err := checks.Check(g)
			if err != nil {
				rt.Fatal(err)
			}
			compared++
			if want := schemasOfAll(rt, g, schemas); !slices.Equal(places(got), want) {
				rt.Fatalf("%v\ngot  %q\nwant %q", texts(src), places(got), want)
			}
		}
	})
	if compared == 0 {
		t.Error("no edit was compared")
	}
}

func texts(src fstest.MapFS) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(src)) {
		all = append(all, name+"\n"+string(src[name].Data))
	}
	return all
}

// A leaf of a thousand annotated modules is compiled with what it refers to, not with the others.
func BenchmarkSchemaChecks(b *testing.B) {
	const modules = 1000
	src := fstest.MapFS{"lib.rego": {Data: []byte("package lib\n\nknown(x) if x != \"\"\n")}}
	leaf := func(i, version int) *fstest.MapFile {
		return &fstest.MapFile{Data: fmt.Appendf(nil, "# METADATA\n# scope: package\n# schemas:\n# - input: {type: object, properties: {user: {type: string}}}\n"+
			"package team%d\n\nallow if data.lib.known(input.user)\n\nversion := %d\n", i, version)}
	}
	for i := range modules {
		src[fmt.Sprintf("team%d.rego", i)] = leaf(i, 0)
	}
	g, err := Load(b.Context(), src, nil)
	if err != nil {
		b.Fatal(err)
	}
	checks := NewSchemaChecks(nil, nil)
	if _, err := checks.Check(g); err != nil {
		b.Fatal(err)
	}
	for name, check := range map[string]func(*Generation) (diagnostic.List, error){
		"edit":  checks.Check,
		"whole": func(g *Generation) (diagnostic.List, error) { return g.CheckSchemas(nil, nil) },
	} {
		b.Run(name, func(b *testing.B) {
			version := 0
			for b.Loop() {
				b.StopTimer()
				version++
				src["team7.rego"] = leaf(7, version)
				if g, err = Load(b.Context(), src, g); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if found, err := check(g); err != nil || len(found) > 0 {
					b.Fatal(found, err)
				}
			}
		})
	}
}
