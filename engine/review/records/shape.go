package records

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strconv"
)

// ShapeOf is a hash of what an input looks like: the names and the types of its members, to a depth of six, and the types
// of the items of its lists. Two inputs of one shape differ in values only.
func ShapeOf(input json.RawMessage) string {
	hash := fnv.New64a()
	if len(input) > 0 {
		var v any
		decoder := json.NewDecoder(bytes.NewReader(input))
		decoder.UseNumber() // any number is one
		if decoder.Decode(&v) != nil {
			return ""
		}
		writeShape(hash, v, maxShapeDepth)
	}
	return fmt.Sprintf("%016x", hash.Sum64())
}

const maxShapeDepth = 6

// writeShape writes a text to w that is the same for all values of one shape.
func writeShape(w io.Writer, v any, depth int) {
	put := func(text string) { _, _ = io.WriteString(w, text) } // a hash takes everything
	switch v := v.(type) {
	case map[string]any:
		put("{")
		if depth > 0 {
			for _, name := range slices.Sorted(maps.Keys(v)) {
				put(strconv.Quote(name))
				writeShape(w, v[name], depth-1)
			}
		}
		put("}")
	case []any:
		put("[")
		kinds := map[string]bool{}
		for _, item := range v {
			kinds[kind(item)] = true
		}
		for _, k := range slices.Sorted(maps.Keys(kinds)) {
			put(k)
		}
		put("]")
	default:
		put(kind(v))
	}
}

func kind(v any) string {
	switch v.(type) {
	case map[string]any:
		return "o"
	case []any:
		return "a"
	case string:
		return "s"
	case json.Number:
		return "n"
	case bool:
		return "b"
	default:
		return "0"
	}
}
