package builtins

import (
	"fmt"
	"regexp"

	"github.com/xeipuuv/gojsonreference"

	"github.com/open-policy-agent/opa/v1/topdown"
)

// schemaModel walks a schema as OPA's library does, without its results: it applies the same parts to the
// same parts of a document, or more, and counts. It resolves references with the library's own resolver, and
// changes the schema it is given as the library changes its own copy.
type schemaModel struct {
	bctx     topdown.BuiltinContext
	pool     map[string]any            // parts of the schema, by reference
	compiled map[string]bool           // references that compile followed
	patterns map[string]*regexp.Regexp // by text
	steps    int
}

func newSchemaModel(bctx topdown.BuiltinContext, schema any) *schemaModel {
	m := &schemaModel{bctx: bctx, pool: map[string]any{}, compiled: map[string]bool{}, patterns: map[string]*regexp.Regexp{}}
	root, err := gojsonreference.NewJsonReference("#")
	if err == nil {
		m.resolveIn(schema, root)
	}
	m.pool["#"], m.pool[""] = schema, schema
	return m
}

// step counts n steps more.
func (m *schemaModel) step(n, depth int) error {
	if depth > MaxDepth {
		return refusal(fmt.Sprintf("the schema refers to itself without end, or applies to more than %d levels", MaxDepth))
	}
	before := m.steps / valuesPerLook
	if m.steps += n; m.steps > MaxSchemaSteps {
		return refusal(fmt.Sprintf("the schema and the document need more than %d steps", MaxSchemaSteps))
	}
	if m.steps/valuesPerLook != before && cancelled(m.bctx) {
		return errCancelled
	}
	return nil
}

// resolveIn makes the references in a schema absolute, and fills the pool with the parts that have an
// identifier. Identifiers that occur twice are an error of the library's.
func (m *schemaModel) resolveIn(v any, base gojsonreference.JsonReference) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			m.resolveIn(item, base)
		}
	case map[string]any:
		base = m.resolveAt(v, base)
		for key, item := range v {
			switch key {
			case "const", "enum":
			case "properties", "dependencies", "patternProperties":
				if named, ok := item.(map[string]any); ok {
					for _, part := range named {
						m.resolveIn(part, base)
					}
				}
			default:
				m.resolveIn(item, base)
			}
		}
	}
}

// resolveAt does it for one schema, and returns the base for those in it.
func (m *schemaModel) resolveAt(schema map[string]any, base gojsonreference.JsonReference) gojsonreference.JsonReference {
	key := "$id"
	if _, ok := schema["id"]; ok {
		key = "id"
	}
	if id := inherit(base, schema[key]); id != nil {
		base = *id
		m.pool[base.String()] = schema
	}
	if ref := inherit(base, schema["$ref"]); ref != nil {
		schema["$ref"] = ref.String()
	}
	return base
}

// inherit is nil where v is no reference.
func inherit(base gojsonreference.JsonReference, v any) *gojsonreference.JsonReference {
	s, ok := v.(string)
	if !ok {
		return nil
	}
	child, err := gojsonreference.NewJsonReference(s)
	if err != nil {
		return nil
	}
	absolute, err := base.Inherits(child)
	if err != nil {
		return nil
	}
	return absolute
}

// target is what a resolved reference means; nil where it is no part of the schema.
func (m *schemaModel) target(text string) any {
	ref, err := gojsonreference.NewJsonReference(text)
	if err != nil {
		return nil
	}
	if part, ok := m.pool[ref.String()]; ok {
		return part
	}
	document, err := gojsonreference.NewJsonReference(ref.String())
	if err != nil {
		return nil
	}
	document.GetUrl().Fragment = ""
	whole, ok := m.pool[document.String()]
	if !ok {
		return nil
	}
	part, _, err := ref.GetPointer().Get(whole)
	if err != nil {
		return nil
	}
	m.pool[ref.String()] = part
	return part
}

// compile visits what the library compiles: every part once, and the target of every reference once more.
func (m *schemaModel) compile(v any, depth int) error {
	if err := m.step(1, depth); err != nil {
		return err
	}
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := m.compile(item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok && !m.compiled[ref] {
			m.compiled[ref] = true
			if err := m.compile(m.target(ref), depth+1); err != nil {
				return err
			}
		}
		for _, item := range v {
			if err := m.compile(item, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
