package probe

import (
	"encoding/json"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// wantCount makes a collection, or a text, as long as the value says: by what it has, or by what is common.
func wantCount(w *watch, o *origin, value any, depth int) []edit {
	f, ok := floatOf(value)
	n := int(f)
	if !ok || n < 0 || n > 2000 {
		return nil
	}
	var all []edit
	was, known := plain(valueOf(o.args[0]))
	if o.args[0].from != nil && known {
		all = append(all, w.want(o.args[0].from, sized(was, n), depth)...)
		return all
	}
	// A collection that a rule made of parts of the input: those that it was made of grow.
	for _, from := range w.partsFrom(valueOf(o.args[0])) {
		all = append(all, from.grown(w, n)...)
	}
	return all
}

func sized(was any, n int) any {
	switch was := was.(type) {
	case string:
		if len(was) >= n {
			return was[:n]
		}
		return was + strings.Repeat("x", n-len(was))
	case []any:
		list := append([]any{}, was[:min(n, len(was))]...)
		for len(list) < n && len(list) < maxLength {
			if len(was) > 0 {
				list = append(list, another(was[len(was)-1], len(list)))
			} else {
				list = append(list, "x"+strings.Repeat("x", len(list)))
			}
		}
		return list
	case map[string]any:
		is := map[string]any{}
		for k, v := range was {
			if len(is) < n {
				is[k] = v
			}
		}
		for i := 0; len(is) < n && i < maxLength; i++ {
			is["x"+strings.Repeat("x", i)] = true
		}
		return is
	}
	list := []any{}
	for len(list) < n && len(list) < maxLength {
		list = append(list, "x"+strings.Repeat("x", len(list)))
	}
	return list
}

// another is a value like another one and different from it, so that a set of both has two.
func another(like any, i int) any {
	switch like := like.(type) {
	case string:
		return like + strings.Repeat("x", i)
	case json.Number:
		if f, ok := floatOf(like); ok {
			return number(f + float64(i))
		}
	case map[string]any:
		is := map[string]any{}
		for k, v := range like {
			is[k] = v
		}
		return is
	}
	return like
}

// listOrigin is a list of the input that elements of a collection came from.
type listOrigin struct{ at place }

func (l listOrigin) grown(w *watch, n int) []edit {
	was, ok := get(w.input(), l.at)
	if !ok {
		return nil
	}
	list, isList := was.([]any)
	if !isList {
		return nil
	}
	return []edit{{l.at, sized(list, n)}}
}

func (w *watch) input() any {
	v, _ := plain(w.root.Value)
	return v
}

func (w *watch) partsFrom(v ast.Value) (lists []listOrigin) {
	seen := map[string]bool{}
	note := func(t *ast.Term) {
		o := w.originOf(t)
		for o != nil && o.call == elem {
			o = o.of
		}
		if o == nil || o.call != "" {
			return
		}
		for i := len(o.at) - 1; i >= 0; i-- {
			if _, isIndex := o.at[i].(int); isIndex {
				at := o.at[:i]
				if !seen[at.key()] {
					seen[at.key()] = true
					lists = append(lists, listOrigin{at})
				}
				return
			}
		}
	}
	switch v := v.(type) {
	case *ast.Array:
		for i := range min(v.Len(), maxParts) {
			note(v.Elem(i))
		}
	case ast.Set:
		for i, t := range v.Slice() {
			if i < maxParts {
				note(t)
			}
		}
	}
	return lists
}

func wantSum(w *watch, o *origin, value any, depth int) []edit {
	want, ok := floatOf(value)
	if !ok {
		return nil
	}
	var all []edit
	terms := elementsOf(valueOf(o.args[0]))
	total := 0.0
	for _, t := range terms {
		v, _ := plain(t.Value)
		f, _ := floatOf(v)
		total += f
	}
	for _, t := range terms {
		v, _ := plain(t.Value)
		f, _ := floatOf(v)
		if from := w.originOf(t); from != nil {
			all = append(all, w.want(from, number(want-total+f), depth)...)
		}
	}
	if o.args[0].from != nil {
		all = append(all, w.want(o.args[0].from, []any{value}, depth)...)
	}
	for _, l := range w.partsFrom(valueOf(o.args[0])) {
		for n := 1; n <= 4; n++ {
			all = append(all, l.grown(w, len(terms)+n)...)
		}
	}
	return all
}

func elementsOf(v ast.Value) []*ast.Term {
	switch v := v.(type) {
	case *ast.Array:
		var all []*ast.Term
		v.Foreach(func(t *ast.Term) { all = append(all, t) })
		return all
	case ast.Set:
		return v.Slice()
	}
	return nil
}

// wantExtreme sets all elements that came from the input, one by one.
func wantExtreme(w *watch, o *origin, value any, depth int) []edit {
	var all []edit
	for i, t := range elementsOf(valueOf(o.args[0])) {
		if i >= 6 {
			break
		}
		if from := w.originOf(t); from != nil {
			all = append(all, w.want(from, value, depth)...)
		}
	}
	if o.args[0].from != nil {
		all = append(all, w.want(o.args[0].from, []any{value}, depth)...)
	}
	return all
}

func wantSlice(w *watch, o *origin, value any, depth int) []edit {
	part, ok := value.([]any)
	was, known := plain(valueOf(o.args[0]))
	list, isList := was.([]any)
	start, isNumber := valueOf(o.args[1]).(ast.Number)
	if !ok || !known || !isList || !isNumber {
		return nil
	}
	at, _ := start.Int()
	at = min(max(at, 0), len(list))
	is := append(append([]any{}, list[:at]...), part...)
	all := w.operandOf(o, 0, is, depth)
	if at > 0 {
		all = append(all, w.operandOf(o, 0, part, depth)...)
	}
	return append(all, w.operandOf(o, 0, append([]any{"x"}, part...), depth)...)
}

func wantRange(w *watch, o *origin, value any, depth int) []edit {
	list, ok := value.([]any)
	if !ok || len(list) == 0 {
		return nil
	}
	return w.operandOf(o, 1, list[len(list)-1], depth)
}
