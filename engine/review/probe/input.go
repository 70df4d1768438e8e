package probe

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// An input is a value of encoding/json's types, with numbers as [json.Number], that never changes: an edit makes another
// one, which shares what it leaves alone.

// place names a part of an input: keys of objects are strings, indexes of arrays are ints.
type place []any

func (p place) with(step any) place { return append(slices.Clip(p), step) }

func (p place) key() string {
	var b strings.Builder
	for _, step := range p {
		switch step := step.(type) {
		case string:
			b.WriteByte('.')
			b.WriteString(step)
		case int:
			b.WriteByte('#')
			b.WriteString(strconv.Itoa(step))
		}
	}
	return b.String()
}

// name is the last member name of the place; empty at the root.
func (p place) name() string {
	for _, step := range slices.Backward(p) {
		if s, ok := step.(string); ok {
			return s
		}
	}
	return ""
}

// absent is what an edit sets a place to that is to be removed.
type absent struct{}

// edit sets one place of an input.
type edit struct {
	at    place
	value any // or absent{}
}

// get returns the part of an input at a place.
func get(v any, at place) (any, bool) {
	for _, step := range at {
		switch step := step.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			if v, ok = m[step]; !ok {
				return nil, false
			}
		case int:
			l, ok := v.([]any)
			if !ok || step < 0 || step >= len(l) {
				return nil, false
			}
			v = l[step]
		}
	}
	return v, true
}

// set returns the input with another value at a place. What is in the way, and is no container, is replaced by one.
func set(v any, at place, value any) any {
	if len(at) == 0 {
		if _, gone := value.(absent); gone {
			return map[string]any{}
		}
		return value
	}
	_, gone := value.(absent)
	switch step := at[0].(type) {
	case string:
		was, _ := v.(map[string]any)
		is := maps.Clone(was)
		if is == nil {
			is = map[string]any{}
		}
		if len(at) == 1 && gone {
			delete(is, step)
		} else if child := set(was[step], at[1:], value); len(at) == 1 || child != nil {
			is[step] = child
		}
		return is
	case int:
		was, _ := v.([]any)
		if step > maxLength || step < 0 {
			return v
		}
		is := slices.Clone(was)
		if len(at) == 1 && gone {
			if step < len(is) {
				is = slices.Delete(is, step, step+1)
			}
			return is
		}
		for len(is) <= step {
			is = append(is, map[string]any{})
		}
		var child any
		if step < len(was) {
			child = was[step]
		}
		is[step] = set(child, at[1:], value)
		return is
	}
	return v
}

const (
	maxLength  = 32   // of an array that the search makes longer
	maxText    = 4096 // of a text that the search makes
	maxInput   = 64 << 10
	maxPlaces  = 400
	maxOfPlace = 24 // values tried for one place and goal
)

// textOf is the canonical text of a value.
func textOf(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func parseText(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}

// plain is a value of OPA's as an input's; ok is false for one that JSON has not.
func plain(v ast.Value) (any, bool) {
	switch v := v.(type) {
	case ast.Null:
		return nil, true
	case ast.Boolean:
		return bool(v), true
	case ast.String:
		return string(v), true
	case ast.Number:
		return json.Number(v), true
	case *ast.Array, ast.Object, ast.Set:
		j, err := ast.JSON(v)
		return j, err == nil
	}
	return nil, false
}

func number(n float64) json.Number {
	return json.Number(strconv.FormatFloat(n, 'f', -1, 64))
}

func floatOf(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}

// terms makes the terms of an input, each of its own, and tells the place of each: by its pointer, an evaluation shows
// where a value came from.
func terms(v any, at place, places map[*ast.Term]place) *ast.Term {
	var t *ast.Term
	switch v := v.(type) {
	case nil:
		t = ast.NewTerm(ast.Null{})
	case bool:
		t = ast.NewTerm(ast.Boolean(v))
	case string:
		t = ast.NewTerm(ast.String(v))
	case json.Number:
		t = ast.NewTerm(ast.Number(v))
	case []any:
		all := make([]*ast.Term, len(v))
		for i, e := range v {
			all[i] = terms(e, at.with(i), places)
		}
		t = ast.NewTerm(ast.NewArray(all...))
	case map[string]any:
		o := ast.NewObject()
		for _, k := range slices.Sorted(maps.Keys(v)) {
			o.Insert(ast.NewTerm(ast.String(k)), terms(v[k], at.with(k), places))
		}
		t = ast.NewTerm(o)
	}
	places[t] = at
	return t
}

// placesOf lists the places of an input, the deeper after those that they are in, at most maxPlaces.
func placesOf(v any) []place {
	var all []place
	var walk func(v any, at place)
	walk = func(v any, at place) {
		if len(all) >= maxPlaces {
			return
		}
		all = append(all, at)
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(v[k], at.with(k))
			}
		case []any:
			for i, e := range v {
				walk(e, at.with(i))
			}
		}
	}
	walk(v, nil)
	sort.SliceStable(all, func(i, j int) bool { return len(all[i]) < len(all[j]) })
	return all
}
