package decisionlog

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// mask is one change of an event that the policy asks for.
type mask struct {
	path   []string // the first part is input or result
	upsert bool     // else what is there is removed
	value  any
}

// readMasks reads what the mask policy said: a list of paths, which are removed, and of objects with
// op, path and value, as OPA has them. One that is wrong makes all wrong: whoever wrote it meant to hide something.
func readMasks(said any) ([]mask, error) {
	list, ok := said.([]any)
	if !ok {
		return nil, fmt.Errorf("the mask policy's value is %T: a set or an array was expected", said)
	}
	masks := make([]mask, 0, len(list))
	for _, item := range list {
		m, err := readMask(item)
		if err != nil {
			return nil, err
		}
		masks = append(masks, m)
	}
	return masks, nil
}

func readMask(item any) (m mask, err error) {
	switch item := item.(type) {
	case string:
		m.path, err = readPointer(item)
		return m, err
	case map[string]any:
		switch item["op"] {
		case "remove":
		case "upsert":
			m.upsert, m.value = true, item["value"]
		default:
			return m, fmt.Errorf("the op of a mask is %v: remove or upsert was expected", item["op"])
		}
		text, ok := item["path"].(string)
		if !ok {
			return m, errors.New("a mask has no path that is a string")
		}
		m.path, err = readPointer(text)
		return m, err
	default:
		return m, fmt.Errorf("a mask is %T: a string or an object was expected", item)
	}
}

func readPointer(text string) ([]string, error) {
	rest, ok := strings.CutPrefix(text, "/")
	if !ok {
		return nil, fmt.Errorf("the path of a mask is %q: it begins with a slash", text)
	}
	path := strings.Split(rest, "/")
	if !slices.Contains([]string{"input", "result", "nd_builtin_cache"}, path[0]) {
		return nil, fmt.Errorf("the path of a mask is %q: /input or /result was expected", text)
	}
	for _, part := range path {
		if _, err := url.PathUnescape(part); err != nil {
			return nil, fmt.Errorf("the path of a mask is %q: %w", text, err)
		}
	}
	return path, nil
}

// mask applies m, and notes it where there was something to mask.
func (e *event) mask(m mask) {
	var document **any
	switch m.path[0] {
	case "input":
		document = &e.Input
	case "result":
		document = &e.Result
	default:
		return // there is no nd_builtin_cache in our events
	}
	if *document == nil {
		return
	}
	changed, ok := m.edit(**document, m.path[1:])
	if !ok {
		return
	}
	*document = &changed
	if len(m.path) == 1 && !m.upsert {
		*document = nil
	}
	if m.upsert {
		e.Masked = append(e.Masked, pointer(m.path))
	} else {
		e.Erased = append(e.Erased, pointer(m.path))
	}
}

// edit is node with what lies at path changed; not ok when the path leads nowhere.
func (m mask) edit(node any, path []string) (_ any, ok bool) {
	if len(path) == 0 {
		return m.value, true
	}
	last := len(path) == 1
	switch node := node.(type) {
	case map[string]any:
		key, there := keyOf(node, path[0])
		switch {
		case !there && !m.upsert:
			return nil, false
		case last && !m.upsert:
			delete(node, key)
			return node, true
		case !there && !last:
			node[key] = map[string]any{}
		}
		node[key], ok = m.edited(node[key], path[1:])
		return node, ok
	case []any:
		i, err := strconv.Atoi(path[0])
		switch {
		case err != nil || i < 0 || i >= len(node):
			return nil, false
		case last && !m.upsert:
			return slices.Delete(node, i, i+1), true
		}
		node[i], ok = m.edited(node[i], path[1:])
		return node, ok
	default:
		return nil, false
	}
}

// edited is edit that leaves a node as it is where the path leads nowhere.
func (m mask) edited(node any, path []string) (any, bool) {
	if changed, ok := m.edit(node, path); ok {
		return changed, true
	}
	return node, false
}

// keyOf finds the key that a part of a path means: as it is written, or percent-decoded. OPA looks for
// neither where they differ, and so leaves what was meant to be hidden.
func keyOf(node map[string]any, part string) (key string, there bool) {
	if _, ok := node[part]; ok {
		return part, true
	}
	decoded, err := url.PathUnescape(part)
	if err != nil {
		decoded = part
	}
	_, ok := node[decoded]
	return decoded, ok
}

// pointer writes a path as OPA does in an event.
func pointer(path []string) string {
	var b strings.Builder
	for _, part := range path {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(part))
	}
	return b.String()
}
