package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// GuardSchema is the JSON Schema of the input of guards, rules of the package system.reload: of [Review] as JSON has it, and
// of path and result, which the rule outcome of that package is given instead. What it does not name is never there.
func GuardSchema() map[string]any {
	schema := schemaOf(reflect.TypeFor[Review]())
	properties, _ := schema["properties"].(map[string]any)
	properties["path"], properties["result"] = map[string]any{"type": "string"}, map[string]any{}
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	schema["title"] = "the input of guards: a review, or a path and a result"
	return schema
}

// schemaOf follows the struct, so that the two cannot differ.
func schemaOf(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[json.RawMessage](): // any value
		return map[string]any{}
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		properties := map[string]any{}
		addProperties(properties, t)
		return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	default:
		return map[string]any{"type": "number"}
	}
}

func addProperties(properties map[string]any, t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			addProperties(properties, field.Type)
		case name != "" && name != "-":
			properties[name] = schemaOf(field.Type)
		}
	}
}
