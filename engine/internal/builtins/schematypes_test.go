package builtins_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"defenseclaw/engine/internal/builtins"
	"defenseclaw/engine/internal/dialect"

	"github.com/open-policy-agent/opa/v1/ast"
)

// typeBy has OPA's compiler make a type of a schema, and use it.
func typeBy(schema any) error {
	set := ast.NewSchemaSet()
	set.Put(ast.SchemaRootRef, schema)
	compiler := dialect.NewSchemaCompiler(set)
	compiler.Compile(map[string]*ast.Module{"p.rego": ast.MustParseModule("package p\nx := input.a.b.a\ny if input.a == input.b\nz := input.a.c[0]")})
	if compiler.Failed() {
		return compiler.Errors
	}
	return nil
}

func decoded(t *testing.T, text string) (schema any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestSchemasForTypesAreBounded(t *testing.T) {
	doubling := strings.Repeat(`{"$ref": "#/definitions/a"},`, 60)
	for name, text := range map[string]string{
		"doubling":       `{"allOf": [` + doubling + `{}], "definitions": {"a": {"allOf": [` + strings.ReplaceAll(doubling, "/a", "/b") + `{}]}, "b": {"allOf": [` + strings.ReplaceAll(doubling, "/a", "/c") + `{}]}, "c": {"type": "string"}}}`,
		"a file":         `{"properties": {"a": {"$ref": "file:///dev/stdin"}}}`,
		"a file as base": `{"$id": "file:///dev/", "properties": {"a": {"$ref": "stdin"}}}`,
	} {
		_, err := builtins.TypeSchema(decoded(t, text))
		if err == nil || !strings.HasPrefix(err.Error(), "the schema ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemasThatReferToThemselvesHaveTypes has schemas on which OPA's compiler overflows its stack.
func TestSchemasThatReferToThemselvesHaveTypes(t *testing.T) {
	for name, text := range map[string]string{
		"itself":          `{"$ref": "#"}`,
		"a pair":          `{"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}}`,
		"allOf":           `{"allOf": [{"$ref": "#"}]}`,
		"allOf below":     `{"type": "object", "properties": {"a": {"allOf": [{"$ref": "#"}]}}}`,
		"allOf of a pair": `{"allOf": [{"$ref": "#/definitions/a"}], "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}}`,
		"anyOf":           `{"$ref": "#/definitions/a", "definitions": {"a": {"anyOf": [{"$ref": "#/definitions/a"}, {"type": "string"}]}}}`,
		"items":           `{"type": "array", "items": {"allOf": [{"$ref": "#"}]}}`,
		"the whole":       `{"type": "object", "properties": {"a": {"$ref": "#"}}}`,
		"identifier":      `{"$ref": "#f", "definitions": {"a": {"$id": "#f", "allOf": [{"$ref": "#f"}]}}}`,
		"a tree":          `{"$ref": "#/definitions/t", "definitions": {"t": {"type": "object", "properties": {"a": {"$ref": "#/definitions/t"}, "b": {"$ref": "#/definitions/t"}}}}}`,
		"a list":          `{"$ref": "#/definitions/l", "definitions": {"l": {"type": "array", "items": {"$ref": "#/definitions/l"}}}}`,
		"or nothing":      `{"$ref": "#/definitions/t", "definitions": {"t": {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/definitions/t"}, {"type": "null"}]}, "b": {}}}}}`,
		"a common base":   `{"definitions": {"b": {"type": "object", "properties": {"a": {}}}}, "type": "object", "properties": {"a": {"allOf": [{"$ref": "#/definitions/b"}, {"type": "object", "properties": {"b": {}}}]}, "b": {"allOf": [{"$ref": "#/definitions/b"}]}}}`,
		"a draft":         `{"$ref": "http://json-schema.org/draft-07/schema#"}`,
		"a boolean":       `{"properties": {"a": true}}`,
	} {
		expanded, err := builtins.TypeSchema(decoded(t, text))
		if err == nil {
			err = typeBy(expanded)
		}
		if err != nil && !strings.Contains(err.Error(), "undefined ref") && !strings.Contains(err.Error(), "merge") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAcceptedSchemasEnd compiles schemas of random references, which would end the process.
func TestAcceptedSchemasEnd(t *testing.T) {
	rnd := rand.New(rand.NewPCG(16, 8))
	accepted := 0
	for range 2000 {
		schema := randomSchema(rnd, 0)
		definitions := map[string]any{}
		for i := range 3 {
			definitions[fmt.Sprint(i)] = randomSchema(rnd, 1)
		}
		schema["definitions"] = definitions
		if expanded, err := builtins.TypeSchema(schema); err == nil {
			accepted++
			_ = typeBy(expanded) // it may be wrong, and it ends
		}
	}
	if accepted < 300 {
		t.Errorf("%d schemas were accepted, too few to say anything", accepted)
	}
}

func randomSchema(rnd *rand.Rand, depth int) map[string]any {
	schema := map[string]any{}
	if depth > 3 || rnd.IntN(3) == 0 {
		if rnd.IntN(4) == 0 {
			return map[string]any{"type": []string{"string", "object", "array"}[rnd.IntN(3)]}
		}
		return map[string]any{"$ref": []string{"#", "#/definitions/0", "#/definitions/1", "#/definitions/2"}[rnd.IntN(4)]}
	}
	if kind := rnd.IntN(4); kind > 0 {
		schema["type"] = []string{"", "object", "object", "array"}[kind]
	}
	part := func() any { return randomSchema(rnd, depth+1) }
	for _, key := range []string{"allOf", "anyOf"} {
		if rnd.IntN(4) == 0 {
			schema[key] = []any{part(), part()}
		}
	}
	if rnd.IntN(2) == 0 {
		schema["properties"] = map[string]any{"a": part(), []string{"b", "c"}[rnd.IntN(2)]: part()}
	}
	switch rnd.IntN(6) {
	case 0:
		schema["items"] = part()
	case 1:
		schema["items"] = []any{part(), part()}
	}
	return schema
}
