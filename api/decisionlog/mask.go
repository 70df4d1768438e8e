package decisionlog

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// mask is one change to an event.
type mask struct {
	path   []string // the first part is input or result
	upsert bool     // replace or add value; otherwise remove
	value  any
}

// readMasks reads the value of the mask policy: a list of paths to remove, and of objects with op, path and
// value, as in OPA. One invalid mask is an error for all: the event must not be written without it.
func readMasks(value any) ([]mask, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("the value of the mask policy is %T: expected a set or an array", value)
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
			return m, fmt.Errorf("the op of a mask is %v: expected remove or upsert", item["op"])
		}
		text, ok := item["path"].(string)
		if !ok {
			return m, errors.New("the path of a mask is not a string")
		}
		m.path, err = readPointer(text)
		return m, err
	default:
		return m, fmt.Errorf("a mask is %T: expected a string or an object", item)
	}
}

func readPointer(text string) ([]string, error) {
	rest, ok := strings.CutPrefix(text, "/")
	if !ok {
		return nil, fmt.Errorf("the path of a mask is %q: it must begin with a slash", text)
	}
	path := strings.Split(rest, "/")
	if !slices.Contains([]string{"input", "result", "nd_builtin_cache"}, path[0]) {
		return nil, fmt.Errorf("the path of a mask is %q: expected /input or /result", text)
	}
	for _, part := range path {
		if _, err := url.PathUnescape(part); err != nil {
			return nil, fmt.Errorf("the path of a mask is %q: %w", text, err)
		}
	}
	return path, nil
}

// maskAll applies masks. A place in an array is the place in the document that the mask policy saw, whatever other masks
// remove: OPA removes one item after another, and so leaves one in the log for each place that moved.
func (e *event) maskAll(masks []mask) {
	for _, m := range masks {
		e.mask(m)
	}
	if len(masks) == 0 {
		return
	}
	for _, document := range []*any{e.Input, e.Result} {
		if document != nil {
			*document = withoutRemoved(*document)
		}
	}
}

// removed stands for an item of an array that a mask removed, so that the items after it keep their places.
type removed struct{}

// withoutRemoved returns node without removed items.
func withoutRemoved(node any) any {
	switch n := node.(type) {
	case map[string]any:
		for name, value := range n {
			n[name] = withoutRemoved(value)
		}
	case []any:
		n = slices.DeleteFunc(n, func(item any) bool { return item == removed{} })
		for i, item := range n {
			n[i] = withoutRemoved(item)
		}
		return n
	}
	return node
}

// mask applies m, and lists its path in Erased or Masked if it changed something.
func (e *event) mask(m mask) {
	var document **any
	switch m.path[0] {
	case "input":
		document = &e.Input
	case "result":
		document = &e.Result
	default:
		return // these events have no nd_builtin_cache
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

// edit returns node with the value at path changed. ok is false if the path does not exist.
func (m mask) edit(node any, path []string) (_ any, ok bool) {
	if len(path) == 0 {
		return m.value, true
	}
	last := len(path) == 1
	switch node := node.(type) {
	case map[string]any:
		key, exists := keyOf(node, path[0])
		switch {
		case !exists && !m.upsert:
			return nil, false
		case last && !m.upsert:
			delete(node, key)
			return node, true
		case !exists && !last:
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
			// The same place twice means the next item, as in OPA.
			for i < len(node) && node[i] == (removed{}) {
				i++
			}
			if i == len(node) {
				return nil, false
			}
			node[i] = removed{}
			return node, true
		}
		node[i], ok = m.edited(node[i], path[1:])
		return node, ok
	default:
		return nil, false
	}
}

// edited is edit, but returns node itself if the path does not exist.
func (m mask) edited(node any, path []string) (any, bool) {
	if changed, ok := m.edit(node, path); ok {
		return changed, true
	}
	return node, false
}

// keyOf finds the key for a part of a path, verbatim or percent-decoded. OPA finds neither if the two
// differ, and then does not mask the value.
func keyOf(node map[string]any, part string) (key string, exists bool) {
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

// pointer formats a path as OPA does in an event.
func pointer(path []string) string {
	var b strings.Builder
	for _, part := range path {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(part))
	}
	return b.String()
}
