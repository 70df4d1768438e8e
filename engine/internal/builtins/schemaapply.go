package builtins

import (
	"regexp"
)

// levelsPerStep makes deep places cost more: an error there has a path as long.
const levelsPerStep = 64

// apply counts the steps of the application of a schema to a document.
func (m *schemaModel) apply(schema, document any, depth int) error {
	if err := m.step(1+depth/levelsPerStep, depth); err != nil {
		return err
	}
	s, ok := schema.(map[string]any)
	if !ok {
		return nil
	}
	if ref, ok := s["$ref"].(string); ok {
		if part := m.target(ref); part != nil {
			return m.apply(part, document, depth+1)
		}
		return m.step(sizeOf(document), depth) // of a draft's own schema, which is built in
	}
	if s["enum"] != nil || s["const"] != nil || s["uniqueItems"] != nil {
		if err := m.step(sizeOf(document), depth); err != nil {
			return err
		}
	}
	if err := m.applyHere(s, document, depth+1); err != nil {
		return err
	}
	switch d := document.(type) {
	case []any:
		return m.applyToItems(s, d, depth+1)
	case map[string]any:
		return m.applyToMembers(s, d, depth+1)
	default:
		return nil
	}
}

// applyHere applies the parts that say something about the same document.
func (m *schemaModel) applyHere(s map[string]any, document any, depth int) error {
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		parts, _ := s[key].([]any)
		for _, part := range parts {
			if err := m.apply(part, document, depth); err != nil {
				return err
			}
		}
	}
	for _, key := range []string{"not", "if", "then", "else"} {
		if part, ok := s[key]; ok {
			if err := m.apply(part, document, depth); err != nil {
				return err
			}
		}
	}
	members, _ := document.(map[string]any)
	dependencies, _ := s["dependencies"].(map[string]any)
	for name := range members {
		if part, ok := dependencies[name]; ok {
			if err := m.apply(part, document, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *schemaModel) applyToItems(s map[string]any, items []any, depth int) error {
	each, isEach := s["items"], true
	list, ok := each.([]any)
	if ok {
		isEach = false
	}
	for i, item := range items {
		var part any
		switch {
		case isEach:
			part = each
		case i < len(list):
			part = list[i]
		default:
			part = s["additionalItems"]
		}
		if err := m.apply(part, item, depth); err != nil {
			return err
		}
		if part, ok := s["contains"]; ok {
			if err := m.apply(part, item, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *schemaModel) applyToMembers(s map[string]any, members map[string]any, depth int) error {
	properties, _ := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	for name, member := range members {
		// The library compares each name with each property.
		if err := m.step(1+len(properties)/levelsPerStep, depth); err != nil {
			return err
		}
		part, found := properties[name]
		if found {
			if err := m.apply(part, member, depth); err != nil {
				return err
			}
		}
		matched, err := m.applyPatterns(patterns, name, member, depth)
		if err != nil {
			return err
		}
		if !found && !matched {
			if err := m.apply(s["additionalProperties"], member, depth); err != nil {
				return err
			}
		}
		if part, ok := s["propertyNames"]; ok {
			if err := m.apply(part, name, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// stepsPerPattern is the cost of a pattern's compilation, which the library does for every name it matches.
const stepsPerPattern = 10

func (m *schemaModel) applyPatterns(patterns map[string]any, name string, member any, depth int) (bool, error) {
	matched := false
	for pattern, part := range patterns {
		if err := m.step(stepsPerPattern+len(pattern)/levelsPerStep, depth); err != nil {
			return false, err
		}
		re, ok := m.patterns[pattern]
		if !ok {
			re, _ = regexp.Compile(pattern) // nil: an error of the library's
			m.patterns[pattern] = re
		}
		if re == nil || !re.MatchString(name) {
			continue
		}
		matched = true
		if err := m.apply(part, member, depth); err != nil {
			return false, err
		}
	}
	return matched, nil
}

// sizeOf counts the values in a document.
func sizeOf(document any) int {
	n := 1
	switch d := document.(type) {
	case []any:
		for _, item := range d {
			n += sizeOf(item)
		}
	case map[string]any:
		for _, item := range d {
			n += sizeOf(item)
		}
	}
	return n
}
