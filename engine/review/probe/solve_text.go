package probe

import (
	"encoding/json"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

func ofText(before, after string) inverse {
	return func(w *watch, o *origin, value any, depth int) []edit {
		all := w.operandOf(o, 0, value, depth)
		if s, ok := value.(string); ok && s != "" {
			if upper := strings.ToUpper(s); upper != s {
				all = append(all, w.operandOf(o, 0, upper, depth)...)
			}
			if before+after != "" {
				all = append(all, w.operandOf(o, 0, before+s+after, depth)...)
			}
		}
		return all
	}
}

func trimmed(left, right bool) inverse {
	return func(w *watch, o *origin, value any, depth int) []edit {
		all := w.operandOf(o, 0, value, depth)
		s, ok := value.(string)
		cut, known := textValue(o.args[1])
		if !ok || !known || cut == "" {
			return all
		}
		if left {
			all = append(all, w.operandOf(o, 0, cut+s, depth)...)
		}
		if right {
			all = append(all, w.operandOf(o, 0, s+cut, depth)...)
		}
		return all
	}
}

func wantSplit(w *watch, o *origin, value any, depth int) []edit {
	list, ok := value.([]any)
	sep, known := textValue(o.args[1])
	if !ok || !known {
		return nil
	}
	var parts []string
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			return nil
		}
		parts = append(parts, s)
	}
	return w.operandOf(o, 0, strings.Join(parts, sep), depth)
}

// wantConcat keeps what did not come from the input, and gives the rest of the text to the first part that did.
func wantConcat(w *watch, o *origin, value any, depth int) []edit {
	s, ok := value.(string)
	sep, known := textValue(o.args[0])
	list, isList := valueOf(o.args[1]).(*ast.Array)
	if !ok || !known || !isList {
		if ok && known {
			var parts []any
			for part := range strings.SplitSeq(s, sep) {
				parts = append(parts, part)
			}
			return w.operandOf(o, 1, parts, depth)
		}
		return nil
	}
	if o.args[1].from != nil && sep != "" {
		var parts []any
		for part := range strings.SplitSeq(s, sep) {
			parts = append(parts, part)
		}
		if all := w.want(o.args[1].from, parts, depth); len(all) > 0 {
			return all
		}
	}
	var all []edit
	for i := range list.Len() {
		from := w.originOf(list.Elem(i))
		if from == nil {
			continue
		}
		before, after := "", ""
		for j := range list.Len() {
			text, _ := list.Elem(j).Value.(ast.String)
			switch {
			case j < i:
				before += string(text) + sep
			case j > i:
				after += sep + string(text)
			}
		}
		rest := strings.TrimSuffix(strings.TrimPrefix(s, before), after)
		all = append(all, w.want(from, rest, depth)...)
	}
	return all
}

func wantSprintf(w *watch, o *origin, value any, depth int) []edit {
	s, ok := value.(string)
	format, known := textValue(o.args[0])
	list, isList := valueOf(o.args[1]).(*ast.Array)
	if !ok || !known || !isList {
		return nil
	}
	var all []edit
	for i := range list.Len() {
		from := w.originOf(list.Elem(i))
		if from == nil {
			continue
		}
		// The verbs before and after the wanted one stay what they are.
		text, n := "", -1
		for j := 0; j < len(format); j++ {
			if format[j] != '%' || j+1 >= len(format) {
				text += string(format[j])
				continue
			}
			j++
			if format[j] == '%' {
				text += "%"
				continue
			}
			if n++; n == i {
				break
			}
			if n < list.Len() {
				text += strings.Trim(list.Elem(n).Value.String(), `"`)
			}
		}
		rest := strings.TrimPrefix(s, text)
		if end := format[strings.LastIndexByte(format, '%')+1:]; len(end) > 1 && i == list.Len()-1 {
			rest = strings.TrimSuffix(rest, end[1:])
		}
		all = append(all, w.want(from, rest, depth)...)
		if _, err := json.Number(rest).Float64(); err == nil {
			all = append(all, w.want(from, json.Number(rest), depth)...)
		}
	}
	return all
}

func wantSubstring(w *watch, o *origin, value any, depth int) []edit {
	s, ok := value.(string)
	was, known := textValue(o.args[0])
	start, isNumber := valueOf(o.args[1]).(ast.Number)
	if !ok || !known || !isNumber {
		return nil
	}
	at, _ := start.Int()
	if at = max(at, 0); at > len(was) {
		was += strings.Repeat("x", min(at-len(was), 64))
	}
	rest := ""
	if end := at + len(s); end < len(was) {
		rest = was[end:]
	}
	return append(w.operandOf(o, 0, was[:min(at, len(was))]+s+rest, depth), w.operandOf(o, 0, was[:min(at, len(was))]+s, depth)...)
}

func wantFormat(w *watch, o *origin, value any, depth int) []edit {
	if s, ok := value.(string); ok {
		if _, err := json.Number(s).Float64(); err == nil {
			return w.operandOf(o, 0, json.Number(s), depth)
		}
	}
	return nil
}

// wantFound puts a text that was found in the place of what was found before.
func wantFound(w *watch, o *origin, value any, depth int) []edit {
	was, known := textValue(o.args[1])
	if !known {
		return nil
	}
	before, after := texts(o.was), textsOf(value)
	for i := range min(len(before), len(after)) {
		if before[i] != after[i] && before[i] != "" {
			return append(w.operandOf(o, 1, strings.Replace(was, before[i], after[i], 1), depth), w.operandOf(o, 1, after[i], depth)...)
		}
	}
	if len(after) > 0 {
		return w.operandOf(o, 1, after[len(after)-1], depth)
	}
	return nil
}

func texts(v ast.Value) []string {
	p, _ := plain(v)
	return textsOf(p)
}

func textsOf(v any) (all []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			all = append(all, textsOf(e)...)
		}
	}
	return all
}
