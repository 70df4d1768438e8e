package engine_test

import (
	"errors"
	"slices"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// opaCheck is what "opa check" finds: file, line and message of each error.
func opaCheck(t *testing.T, text string, set *ast.SchemaSet) (found []string) {
	t.Helper()
	module, err := ast.ParseModuleWithOpts("p.rego", text, ast.ParserOptions{ProcessAnnotation: true})
	if err != nil {
		t.Fatal(err)
	}
	compiler := ast.NewCompiler().WithSchemas(set).WithEnablePrintStatements(true).WithUseTypeCheckAnnotations(true)
	compiler.Compile(map[string]*ast.Module{"p.rego": module})
	for _, e := range compiler.Errors {
		found = append(found, e.Location.String()+" "+e.Message)
	}
	slices.Sort(found)
	return found
}

func TestSchemasFindWhatOPAFinds(t *testing.T) {
	set := ast.NewSchemaSet()
	set.Put(ast.MustParseRef("schema.input"), map[string]any{"type": "object", "properties": map[string]any{"user": map[string]any{"type": "string"}}})
	set.Put(ast.MustParseRef("schema.tree"), map[string]any{
		"$ref": "#/definitions/t",
		"definitions": map[string]any{
			"t": map[string]any{"type": "object", "properties": map[string]any{"l": map[string]any{"$ref": "#/definitions/t"}}},
		},
	})
	for _, text := range []string{
		"package p\n# METADATA\n# schemas:\n# - input: schema.input\nx if input.usr",
		"package p\n# METADATA\n# schemas:\n# - input: schema.input\nx if input.user == 1",
		"package p\n# METADATA\n# schemas:\n# - input: schema.input\nx if input.user",
		"package p\n# METADATA\n# schemas:\n# - input: schema.tree\nx if input.r",
		"package p\n# METADATA\n# schemas:\n# - input: schema.none\nx if input.a",
		"package p\n# METADATA\n# schemas:\n# - input.a: {type: number}\nx if startswith(input.a, \"b\")\ny if startswith(input.a, \"b\")",
		"# METADATA\n# scope: package\n# schemas:\n# - input: {allOf: [{type: object, properties: {a: {type: string}}}, {type: object, properties: {b: {}}}]}\npackage p\nx if input.c\ny if print(input.d)",
		"package p\n# METADATA\n# schemas:\n# - data.acl: {type: object, properties: {a: {type: array, items: {type: string}}}}\nx if data.acl.b\nz if data.acl.a[_] == 1",
	} {
		g, err := engine.Load(t.Context(), fstest.MapFS{"p.rego": {Data: []byte(text)}}, nil)
		if err != nil {
			t.Fatalf("a load is not stricter for schemas: %v", err)
		}
		for _, schemas := range []*ast.SchemaSet{nil, set} {
			wrong, err := g.CheckSchemas(schemas, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range wrong {
				got = append(got, (&ast.Location{File: d.File, Row: d.Line}).String()+" "+d.Message)
			}
			slices.Sort(got)
			if want := opaCheck(t, text, schemas); !slices.Equal(got, want) {
				t.Errorf("%s\ngot  %q\nwant %q", text, got, want)
			}
		}
	}
}

func TestASchemaThatReachesOutIsRefused(t *testing.T) {
	text := "package p\n# METADATA\n# schemas:\n# - input: {properties: {a: {$ref: \"file:///dev/stdin\"}}}\nx if input.a"
	g, err := engine.Load(t.Context(), fstest.MapFS{"p.rego": {Data: []byte(text)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := g.CheckSchemas(nil, nil)
	if err = errors.Join(err, wrong); len(wrong) != 1 || wrong[0].Line != 2 {
		t.Errorf("%v; want one diagnostic at line 2", err)
	}
}
