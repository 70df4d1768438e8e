package probe

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// goal is what an edit is for: the condition, and whether the edit is to turn it or to try its edges.
type goal struct {
	edit
	turn bool
}

// goalsOf turns what one condition looked at into edits: such as make it true where it is false and the other way round, and such
// as try its edges.
func (w *watch) goalsOf(s *site, k *known) []goal {
	var all []goal
	turn := func(o operand, values ...any) {
		for _, v := range values[:min(len(values), maxOfPlace)] {
			for _, e := range w.want(o.from, v, 0) {
				all = append(all, goal{edit: e, turn: true})
			}
		}
	}
	edge := func(o operand, values ...any) {
		for _, v := range values[:min(len(values), maxOfPlace)] {
			for _, e := range w.want(o.from, v, 0) {
				all = append(all, goal{edit: e})
			}
		}
	}
	for _, at := range s.missing {
		for i, v := range w.valuesFor(s, at, k) {
			all = append(all, goal{edit: edit{at, v}, turn: i < 8})
		}
	}
	for _, l := range s.lookups {
		w.lookupGoals(l, k, turn, edge)
	}
	for _, p := range s.pairs {
		w.equal(p[0], p[1], k, turn, edge)
	}
	if of := conditions[s.op]; of != nil {
		of(w, s, k, turn, edge)
	} else if strings.HasPrefix(s.op, "is_") && len(s.args) > 0 {
		kinds(s.op, s.args[0], turn)
	}
	return all
}

// push adds edits that give an operand one of the values.
type push = func(o operand, values ...any)

type condition = func(w *watch, s *site, k *known, turn, edge push)

var conditions = map[string]condition{
	"eq": func(w *watch, s *site, k *known, turn, edge push) {
		if len(s.args) == 2 {
			w.equal(s.args[0], s.args[1], k, turn, edge)
		}
	},
	"neq": func(w *watch, s *site, k *known, turn, edge push) { w.equal(s.args[0], s.args[1], k, turn, edge) },
	"lt":  ordered, "lte": ordered, "gt": ordered, "gte": ordered,
	"internal.member_2": func(w *watch, s *site, k *known, turn, edge push) { w.member(s.args[0], s.args[1], k, turn, edge) },
	"internal.member_3": func(w *watch, s *site, k *known, turn, edge push) { w.member(s.args[1], s.args[2], k, turn, edge) },
	"startswith":        affix, "endswith": affix, "contains": affix,
	"regex.match":       matched,
	"regex.is_valid":    func(_ *watch, s *site, _ *known, turn, _ push) { turn(s.args[0], "[", "a") },
	"glob.match":        globbed,
	"net.cidr_contains": networked, "net.cidr_intersects": networked,
	"net.cidr_is_valid": func(_ *watch, s *site, _ *known, turn, _ push) { turn(s.args[0], "10.0.0.0/8", "x") },
	"truth": func(_ *watch, s *site, _ *known, turn, _ push) {
		turn(s.args[0], true, false, absent{})
	},
	"regex.find_all_string_submatch_n": found, "regex.find_n": found,
	"time.parse_rfc3339_ns": func(_ *watch, s *site, _ *known, turn, _ push) {
		turn(s.args[0], "2026-03-04T12:00:00Z", "x")
	},
	"to_number":    func(_ *watch, s *site, _ *known, turn, _ push) { turn(s.args[0], "1", "x") },
	"intersection": sets, "and": sets, "minus": sets, "or": sets,
	"json.unmarshal": func(_ *watch, s *site, _ *known, turn, _ push) { turn(s.args[0], "{}", "x") },
	"count": func(_ *watch, s *site, _ *known, _, edge push) {
		if len(s.args) > 0 && s.args[0].from != nil {
			for n := range 4 {
				edge(operand{s.args[0].term, &origin{call: "count", args: s.args[:1]}}, number(float64(n)))
			}
		}
	},
}

// equal tries the one side for the other, and what is next to it.
func (w *watch) equal(a, b operand, k *known, turn, edge push) {
	for range 2 {
		if a.from != nil && b.term != nil {
			if v, ok := plain(b.term.Value); ok {
				k.compared(a.from, v)
				if a.term != nil && b.term.Value.Compare(a.term.Value) == 0 {
					turn(a, near(v)...)
					turn(a, absent{})
					turn(a, k.others(a.from, 8)...)
				} else {
					turn(a, v)
					edge(a, near(v)...)
				}
			}
		}
		a, b = b, a
	}
}

// member tries the elements of a collection: those that the edit brought or took first.
func (w *watch) member(x, in operand, k *known, turn, edge push) {
	if in.term == nil {
		return
	}
	elements := membersOf(in.term.Value)
	if x.from != nil {
		var values []any
		for _, t := range elements {
			if v, ok := plain(t.Value); ok {
				values = append(values, v)
			}
		}
		k.prefer(values)
		for _, v := range values[:min(len(values), 6)] {
			k.compared(x.from, v)
		}
		inside := x.term != nil && slices.ContainsFunc(elements, func(t *ast.Term) bool { return t.Value.Compare(x.term.Value) == 0 })
		if inside {
			turn(x, "zz-none", absent{})
			turn(x, k.others(x.from, 8)...)
		}
		turn(x, values...)
		if len(values) > 0 {
			edge(x, near(values[0])...)
		}
	}
	if x.term == nil {
		return
	}
	v, ok := plain(x.term.Value)
	if !ok {
		return
	}
	if in.from != nil {
		if list, isList := mustPlain(in.term.Value).([]any); isList {
			turn(in, append(slices.Clone(list), v), without(list, v), append([]any{v}, list...), []any{v})
		} else {
			turn(in, []any{v})
		}
		return
	}
	// A collection that was made of elements that came from the input.
	for i, t := range elements {
		if from := w.originOf(t); from != nil && i < 6 {
			turn(operand{t, from}, v)
			if t.Value.Compare(x.term.Value) == 0 {
				turn(operand{t, from}, near(v)...)
			}
		}
	}
}

func mustPlain(v ast.Value) any {
	p, _ := plain(v)
	return p
}

func without(list []any, v any) []any {
	text := textOf(v)
	return slices.DeleteFunc(slices.Clone(list), func(e any) bool { return textOf(e) == text })
}

func membersOf(v ast.Value) []*ast.Term {
	if o, ok := v.(ast.Object); ok {
		var all []*ast.Term
		for _, k := range o.Keys() {
			all = append(all, o.Get(k))
		}
		return all
	}
	return elementsOf(v)
}

// lookupGoals tries the keys that the data has at a place, and one that it has not.
func (w *watch) lookupGoals(l lookup, k *known, turn, edge push) {
	doc := w.data(l.ref)
	var keys []any
	switch doc := doc.(type) {
	case ast.Object:
		for _, key := range doc.Keys() {
			if v, ok := plain(key.Value); ok {
				keys = append(keys, v)
			}
		}
	case ast.Set:
		for _, key := range doc.Slice() {
			if v, ok := plain(key.Value); ok {
				keys = append(keys, v)
			}
		}
	case *ast.Array:
		for i := range min(doc.Len(), 4) {
			keys = append(keys, number(float64(i)))
		}
	}
	k.prefer(keys)
	for _, v := range keys[:min(len(keys), 6)] {
		k.compared(l.key.from, v)
	}
	turn(l.key, keys[:min(len(keys), maxOfPlace)]...)
	turn(l.key, "zz-none")
	if len(keys) > 0 {
		edge(l.key, near(keys[0])...)
	}
}
