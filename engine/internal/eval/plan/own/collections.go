package own

import (
	"unicode/utf8"

	"defenseclaw/engine/internal/eval/plan/value"
)

var collections = map[string]Builtin{
	"count":         count,
	"and":           sets(intersection),
	"or":            sets(union),
	"intersection":  setOfSets(intersection),
	"union":         setOfSets(union),
	"sort":          sorted,
	"array.concat":  arrayConcat,
	"array.slice":   arraySlice,
	"array.reverse": arrayReverse,
}

func count(c *Call, x []*value.Node) *value.Node {
	switch {
	case len(x) != 1 || x[0].Kind() < value.String:
		return nil
	case x[0].Kind() != value.String:
		return c.arena.Int(int64(x[0].Len()))
	case !c.reads(x[0].Text()):
		return nil
	default:
		return c.arena.Int(int64(utf8.RuneCountInString(x[0].Text())))
	}
}

var difference = arithmetic(subtract)

// minus takes integers, and sets of scalars.
func minus(c *Call, x []*value.Node) *value.Node {
	if len(x) != 2 || x[0].Kind() != value.Set || x[1].Kind() != value.Set {
		return difference(c, x)
	}
	if !c.takes(x[0]) {
		return nil
	}
	left := c.arena.Empty(value.Set, 0)
	for i := range x[0].Len() {
		e := x[0].Elem(i)
		if e.Kind() >= value.Array {
			return nil
		}
		if x[1].Get(e) == nil {
			left.AddDistinct(e)
		}
	}
	return left
}

func sets(f func(c *Call, all []*value.Node) *value.Node) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if len(x) != 2 {
			return nil
		}
		return f(c, x)
	}
}

func setOfSets(f func(c *Call, all []*value.Node) *value.Node) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		const few = 64
		if len(x) != 1 || x[0].Kind() != value.Set || x[0].Len() > few {
			return nil
		}
		all := make([]*value.Node, x[0].Len())
		for i := range all {
			all[i] = x[0].Elem(i)
		}
		return f(c, all)
	}
}

// areSets reports whether all are sets that can be gone through, of elements of which it does not matter which of two equal
// ones is taken.
func (c *Call) areSets(all []*value.Node) bool {
	for _, s := range all {
		if s.Kind() != value.Set || !c.takes(s) {
			return false
		}
		for i := range s.Len() {
			if !s.Elem(i).Exact() {
				return false
			}
		}
	}
	return true
}

func union(c *Call, all []*value.Node) *value.Node {
	if !c.areSets(all) {
		return nil
	}
	out := c.arena.Empty(value.Set, 0)
	for _, s := range all {
		for i := range s.Len() {
			out.Add(s.Elem(i))
		}
	}
	return out
}

func intersection(c *Call, all []*value.Node) *value.Node {
	if !c.areSets(all) {
		return nil
	}
	out := c.arena.Empty(value.Set, 0)
	if len(all) == 0 {
		return out
	}
elements:
	for i := range all[0].Len() {
		e := all[0].Elem(i)
		for _, other := range all[1:] {
			if other.Get(e) == nil {
				continue elements
			}
		}
		out.AddDistinct(e)
	}
	return out
}

func arrayConcat(c *Call, x []*value.Node) *value.Node {
	if len(x) != 2 || x[0].Kind() != value.Array || x[1].Kind() != value.Array || !c.takes(x[0]) || !c.takes(x[1]) {
		return nil
	}
	out := c.arena.Empty(value.Array, x[0].Len()+x[1].Len())
	for _, list := range x {
		for i := range list.Len() {
			out.Append(list.Elem(i))
		}
	}
	return out
}

func arraySlice(c *Call, x []*value.Node) *value.Node {
	if len(x) != 3 || x[0].Kind() != value.Array || !c.takes(x[0]) {
		return nil
	}
	from, ok1 := x[1].PlainInt()
	to, ok2 := x[2].PlainInt()
	if !ok1 || !ok2 {
		return nil
	}
	to = min(max(to, 0), int64(x[0].Len()))
	from = min(max(from, 0), to)
	if to-from == int64(x[0].Len()) {
		return x[0]
	}
	out := c.arena.Empty(value.Array, int(to-from))
	for i := from; i < to; i++ {
		out.Append(x[0].Elem(int(i)))
	}
	return out
}

func arrayReverse(c *Call, x []*value.Node) *value.Node {
	if len(x) != 1 || x[0].Kind() != value.Array || !c.takes(x[0]) {
		return nil
	}
	out := c.arena.Empty(value.Array, x[0].Len())
	for i := x[0].Len() - 1; i >= 0; i-- {
		out.Append(x[0].Elem(i))
	}
	return out
}
