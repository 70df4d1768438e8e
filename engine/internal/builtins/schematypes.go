package builtins

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/open-policy-agent/opa/v1/topdown"
)

// TypeSchema returns a JSON schema for OPA's compiler to make a type of, or why it must not be given this one: it
// refers to a file, or is too large written out. The compiler opens files without asking its capabilities, and
// recurses without a limit over what refers to itself; a stack that overflows ends the process. schema, as
// encoding/json decodes it, is not changed. In the result, what a schema holds of itself may be anything, and so may
// what a draft of JSON Schema describes. It has the targets of references in "allOf" in their place: the compiler
// merges into what a reference shares. Safe for concurrent use.
func TypeSchema(schema any) (any, error) {
	text, err := json.Marshal(schema)
	if err != nil {
		return nil, fmt.Errorf("the schema is no JSON: %w", err)
	}
	var own any
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&own); err != nil {
		return nil, fmt.Errorf("the schema is no JSON: %w", err)
	}
	if name := fileIn(own); name != "" {
		return nil, refusal("the schema refers to " + name + ": a schema must stand alone")
	}
	m := newSchemaModel(topdown.BuiltinContext{}, own)
	if err := m.compile(own, 0); err != nil {
		return nil, err
	}
	m.cut(own, map[uintptr]bool{})
	expanded, err := m.expand(own, false, 0)
	if err != nil {
		return nil, err
	}
	return expanded, newSchemaModel(topdown.BuiltinContext{}, expanded).parse(expanded, 0)
}

// cut removes references until the schema ends. open holds the objects that were visited by address: true around v.
func (m *schemaModel) cut(v any, open map[uintptr]bool) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			m.cut(item, open)
		}
	case map[string]any:
		at := reflect.ValueOf(v).Pointer()
		if _, visited := open[at]; visited {
			return
		}
		open[at] = true
		if ref, ok := v["$ref"].(string); ok {
			target, isObject := m.target(ref).(map[string]any)
			switch {
			case isObject && open[reflect.ValueOf(target).Pointer()], !isObject && draft.MatchString(ref):
				delete(v, "$ref")
			case isObject:
				m.cut(target, open)
			}
		}
		for _, item := range v {
			m.cut(item, open)
		}
		open[at] = false
	}
}

// draft matches the schemas that are built into OPA's library, which refer to themselves.
var draft = regexp.MustCompile(`^https?://json-schema\.org/`)

// expand copies a schema. Members of "allOf" that are references become copies of what these refer to. A copy has no
// identifiers, which must be unique; its references are absolute.
func (m *schemaModel) expand(v any, again bool, depth int) (_ any, err error) {
	if err := m.step(1, depth); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			if list[i], err = m.expand(item, again, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, item := range v {
			_, isText := item.(string)
			switch members, isList := item.([]any); {
			case again && isText && (key == "$id" || key == "id"):
				continue
			case key == "allOf" && isList:
				object[key], err = m.expandAll(members, again, depth+1)
			default:
				object[key], err = m.expand(item, again, depth+1)
			}
			if err != nil {
				return nil, err
			}
		}
		return object, nil
	default:
		return v, nil
	}
}

func (m *schemaModel) expandAll(members []any, again bool, depth int) (list []any, err error) {
	for _, member := range members {
		copied := again
		for refers := true; refers; depth++ {
			var ref string
			s, _ := member.(map[string]any)
			if ref, refers = s["$ref"].(string); refers {
				member, copied = m.target(ref), true
			}
			if err := m.step(1, depth); err != nil {
				return nil, err
			}
		}
		if member, err = m.expand(member, copied, depth); err != nil {
			return nil, err
		}
		list = append(list, member)
	}
	return list, nil
}

// parse visits what the compiler makes a type of, what references share each time: two types are compared as trees.
func (m *schemaModel) parse(v any, depth int) error {
	if err := m.step(1, depth); err != nil {
		return err
	}
	s, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	if ref, ok := s["$ref"].(string); ok {
		return m.parse(m.target(ref), depth+1)
	}
	parts := []any{s["items"]}
	for _, name := range []string{"anyOf", "allOf", "items"} {
		list, _ := s[name].([]any)
		parts = append(parts, list...)
	}
	properties, _ := s["properties"].(map[string]any)
	for _, property := range properties {
		parts = append(parts, property)
	}
	for _, part := range parts {
		if err := m.parse(part, depth+1); err != nil {
			return err
		}
	}
	return nil
}
