package probe

import (
	"math"

	"github.com/open-policy-agent/opa/v1/ast"
)

// want turns the wish that a value be another one into edits of the input: it goes back through the calls that made it.
func (w *watch) want(o *origin, value any, depth int) []edit {
	if o == nil || depth > 8 {
		return nil
	}
	if o.call == "" {
		return []edit{{o.at, value}}
	}
	if o.call == elem {
		return w.wantPart(o, value, depth)
	}
	if inverse := inverses[o.call]; inverse != nil {
		return inverse(w, o, value, depth+1)
	}
	return w.wantAny(o, value, depth+1)
}

// wantAny tries the value for every operand that came from the input.
func (w *watch) wantAny(o *origin, value any, depth int) (all []edit) {
	for _, a := range o.args {
		if a.from != nil {
			all = append(all, w.want(a.from, value, depth)...)
		}
	}
	return all
}

// wantPart sets one part of what a call made.
func (w *watch) wantPart(o *origin, value any, depth int) []edit {
	whole, ok := plain(o.of.was)
	if !ok {
		return nil
	}
	step := stepOf(o.key)
	if step == nil {
		return nil
	}
	if o.of.call == "" {
		return []edit{{o.of.at.with(step), value}}
	}
	if o.of.call == "object.get" || o.of.call == "object.union" || o.of.call == "object.union_n" || o.of.call == "json.filter" {
		var all []edit
		for _, a := range o.of.args {
			if a.from == nil {
				continue
			}
			if a.from.call == "" {
				at := a.from.at
				if o.of.call == "object.get" {
					if key := stepOf(valueOf(o.of.args[1])); key != nil {
						at = at.with(key)
					}
				}
				all = append(all, edit{at.with(step), value})
			}
		}
		return all
	}
	return w.want(o.of, set(whole, place{step}, value), depth+1)
}

func valueOf(a operand) ast.Value {
	if a.term == nil {
		return ast.Null{}
	}
	return a.term.Value
}

func textValue(a operand) (string, bool) {
	s, ok := valueOf(a).(ast.String)
	return string(s), ok
}

type inverse = func(w *watch, o *origin, value any, depth int) []edit

// inverses say what operand a builtin needs, so that its result is the value.
var inverses map[string]inverse

func init() { //nolint:gochecknoinits // the table's functions refer to the table
	inverses = map[string]inverse{
		"lower": ofText("", ""), "upper": ofText("", ""), "trim_space": ofText(" ", " "),
		"trim": trimmed(true, true), "trim_left": trimmed(true, false), "trim_right": trimmed(false, true),
		"trim_prefix": trimmed(true, false), "trim_suffix": trimmed(false, true),
		"split": wantSplit, "concat": wantConcat, "sprintf": wantSprintf, "replace": first,
		"regex.replace":     func(w *watch, o *origin, v any, d int) []edit { return w.operandOf(o, 0, v, d) },
		"substring":         wantSubstring,
		"to_number":         func(w *watch, o *origin, v any, d int) []edit { return w.operandOf(o, 0, textOf(v), d) },
		"format_int":        wantFormat,
		"count":             wantCount,
		"sum":               wantSum,
		"max":               wantExtreme,
		"min":               wantExtreme,
		"abs":               first,
		"round":             first,
		"ceil":              first,
		"floor":             first,
		"plus":              arithmetic(func(want, other float64, _ bool) float64 { return want - other }),
		"minus":             arithmetic(undoMinus),
		"mul":               arithmetic(undoMul),
		"div":               arithmetic(undoDiv),
		"rem":               first,
		"object.get":        wantGet,
		"array.concat":      first,
		"array.slice":       wantSlice,
		"sort":              first,
		"numbers.range":     wantRange,
		"units.parse_bytes": func(w *watch, o *origin, v any, d int) []edit { return w.operandOf(o, 0, textOf(v), d) },

		"time.parse_rfc3339_ns": wantTime, "time.clock": wantClock, "time.date": wantDate, "time.weekday": wantWeekday,
		"regex.find_all_string_submatch_n": wantFound, "regex.find_n": wantFound, "regex.split": first,
	}
}

func first(w *watch, o *origin, value any, depth int) []edit { return w.operandOf(o, 0, value, depth) }

func (w *watch) operandOf(o *origin, i int, value any, depth int) []edit {
	if i >= len(o.args) || o.args[i].from == nil {
		return nil
	}
	return w.want(o.args[i].from, value, depth)
}

func arithmetic(undo func(want, other float64, left bool) float64) inverse {
	return func(w *watch, o *origin, value any, depth int) []edit {
		want, ok := floatOf(value)
		if !ok || len(o.args) != 2 {
			return nil
		}
		var all []edit
		for i := range 2 {
			v, _ := plain(valueOf(o.args[1-i]))
			other, ok := floatOf(v)
			if o.args[i].from == nil || !ok {
				continue
			}
			if f := undo(want, other, i == 0); !math.IsNaN(f) && !math.IsInf(f, 0) {
				all = append(all, w.want(o.args[i].from, number(f), depth)...)
			}
		}
		return all
	}
}

func undoMinus(want, other float64, left bool) float64 {
	if left {
		return want + other
	}
	return other - want
}

func undoMul(want, other float64, _ bool) float64 { return want / other }

func undoDiv(want, other float64, left bool) float64 {
	if left {
		return want * other
	}
	return other / want
}

func wantGet(w *watch, o *origin, value any, depth int) []edit {
	from := o.args[0].from
	if from == nil {
		return nil
	}
	key := valueOf(o.args[1])
	steps := []ast.Value{key}
	if list, ok := key.(*ast.Array); ok {
		steps = nil
		list.Foreach(func(t *ast.Term) { steps = append(steps, t.Value) })
	}
	if from.call == "" {
		at := from.at
		for _, k := range steps {
			step := stepOf(k)
			if step == nil {
				return nil
			}
			at = at.with(step)
		}
		return []edit{{at, value}}
	}
	if len(steps) != 1 {
		return nil
	}
	return w.want(&origin{call: elem, of: from, key: steps[0]}, value, depth)
}
