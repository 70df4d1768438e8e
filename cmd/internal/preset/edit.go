package preset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Change is one key of the data that a policy or an edit changes.
type Change struct {
	Path   string          `json:"path"`             // such as guardrail.block_threshold
	Before json.RawMessage `json:"before,omitempty"` // absent: the key is new
	After  json.RawMessage `json:"after"`            // null: the key is removed
}

// Edit is a change of one value of the data. [Set], [Merge], [Remove] and [Items] make them.
type Edit struct {
	path   []string
	change func(before json.RawMessage) (after json.RawMessage, err error) // nil: there is no such key
}

// Set gives the key at a path a value.
func Set(value any, path ...string) Edit {
	return Edit{path, func(json.RawMessage) (json.RawMessage, error) { return json.Marshal(value) }}
}

// Remove removes the key at a path, if it is there.
func Remove(path ...string) Edit {
	return Edit{path, func(json.RawMessage) (json.RawMessage, error) { return nil, nil }}
}

// Merge sets fields of the object at a path, and keeps the others. Without all the fields that whole names, there has to be an object.
func Merge(fields map[string]string, whole []string, path ...string) Edit {
	return Edit{path, func(before json.RawMessage) (json.RawMessage, error) {
		if before == nil {
			for _, field := range whole {
				if _, given := fields[field]; !given {
					return nil, fmt.Errorf("there is no such key yet: %s were expected together", strings.Join(whole, ", "))
				}
			}
			before = json.RawMessage("{}")
		}
		o, err := parse(before)
		if err != nil {
			return nil, err
		}
		for _, field := range sorted(fields, whole) {
			text, err := json.Marshal(fields[field])
			if err != nil {
				return nil, err
			}
			o.put(field, text)
		}
		return o.text()
	}}
}

// sorted has the fields in one order always: those of first before the rest.
func sorted(fields map[string]string, first []string) []string {
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		at := func(name string) int {
			if i := slices.Index(first, name); i >= 0 {
				return i
			}
			return len(first)
		}
		if by := at(a) - at(b); by != 0 {
			return by
		}
		return strings.Compare(a, b)
	})
	return names
}

// Items adds items to the list at a path, at its end, and takes items from it. Items that are there are not added again. A list
// that is missing is made for what is added.
func Items[T any](add, remove []T, path ...string) Edit {
	return Edit{path, func(before json.RawMessage) (json.RawMessage, error) {
		var list []json.RawMessage
		if before != nil {
			if err := json.Unmarshal(before, &list); err != nil || list == nil {
				return nil, fmt.Errorf("a list was expected, not %s", before)
			}
		} else if len(add) == 0 {
			return nil, nil
		}
		for _, item := range add {
			text, err := json.Marshal(item)
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(list, func(has json.RawMessage) bool { return equal(has, text) }) {
				list = append(list, text)
			}
		}
		for _, item := range remove {
			text, err := json.Marshal(item)
			if err != nil {
				return nil, err
			}
			list = slices.DeleteFunc(list, func(has json.RawMessage) bool { return equal(has, text) })
		}
		return json.Marshal(list)
	}}
}

// Apply returns data.json with the edits made, one after the other, and the keys that this changes. Keys keep their order, and
// keys that no edit names their values. If nothing changes, the text is returned as it was.
func Apply(data []byte, edits ...Edit) ([]byte, []Change, error) {
	edited := data
	var changes []Change
	for _, e := range edits {
		next, before, after, err := set(edited, e.path, e.change)
		if err != nil {
			return nil, nil, fmt.Errorf("data.json: %w", err)
		}
		if !equal(before, after) {
			edited = next
			changes = append(changes, Change{strings.Join(e.path, "."), before, after})
		}
	}
	if len(changes) == 0 {
		return data, nil, nil
	}
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(edited), "", "  "); err != nil {
		return nil, nil, err
	}
	return append(out.Bytes(), '\n'), changes, nil
}

// equal compares values of JSON; a value that is missing equals a missing one alone.
func equal(a, b json.RawMessage) bool {
	normal := func(raw json.RawMessage) string {
		var v any
		if json.Unmarshal(raw, &v) != nil {
			return ""
		}
		text, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return string(text)
	}
	return len(a) == 0 && len(b) == 0 || len(a) > 0 && len(b) > 0 && normal(a) == normal(b)
}
