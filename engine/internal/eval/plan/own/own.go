// Package own has builtins that compute with the values of programs, without OPA's. Each takes only operands for which
// its answer is total and cheap; for all others it returns nil, and OPA's builtin decides or fails.
package own

import (
	"strings"
	"unicode/utf8"

	"defenseclaw/engine/internal/eval/plan/value"
)

// Builtin returns nil for operands that it does not take: OPA's builtin is called then, and decides.
type Builtin func(a *value.Arena, x []*value.Node) *value.Node

// maxItems bounds the collections that are searched here: nothing looks at the deadline meanwhile.
const maxItems = 4096

// Builtins are by the names of OPA's.
var Builtins = map[string]Builtin{
	"startswith":        texts(strings.HasPrefix),
	"endswith":          texts(strings.HasSuffix),
	"contains":          texts(strings.Contains),
	"equal":             compared(func(c int) bool { return c == 0 }),
	"neq":               compared(func(c int) bool { return c != 0 }),
	"lt":                compared(func(c int) bool { return c < 0 }),
	"lte":               compared(func(c int) bool { return c <= 0 }),
	"gt":                compared(func(c int) bool { return c > 0 }),
	"gte":               compared(func(c int) bool { return c >= 0 }),
	"is_string":         is(value.String),
	"is_number":         is(value.Number),
	"is_boolean":        is(value.Boolean),
	"is_null":           is(value.Null),
	"is_array":          is(value.Array),
	"is_object":         is(value.Object),
	"is_set":            is(value.Set),
	"count":             count,
	"minus":             minus,
	"internal.member_2": member,
}

func texts(f func(text, part string) bool) Builtin {
	return func(_ *value.Arena, x []*value.Node) *value.Node {
		if len(x) != 2 || x[0].Kind() != value.String || x[1].Kind() != value.String {
			return nil
		}
		return value.Bool(f(x[0].Text(), x[1].Text()))
	}
}

// compared takes scalars: what is deeper may be as large as a caller likes, which OPA's builtins bound here.
func compared(f func(c int) bool) Builtin {
	return func(_ *value.Arena, x []*value.Node) *value.Node {
		if len(x) != 2 || x[0].Kind() >= value.Array || x[1].Kind() >= value.Array {
			return nil
		}
		return value.Bool(f(value.Compare(x[0], x[1])))
	}
}

func is(kind value.Kind) Builtin {
	return func(_ *value.Arena, x []*value.Node) *value.Node {
		if len(x) != 1 {
			return nil
		}
		return value.Bool(x[0].Kind() == kind)
	}
}

func count(a *value.Arena, x []*value.Node) *value.Node {
	switch {
	case len(x) != 1 || x[0].Kind() < value.String:
		return nil
	case x[0].Kind() == value.String:
		return a.Int(int64(utf8.RuneCountInString(x[0].Text())))
	default:
		return a.Int(int64(x[0].Len()))
	}
}

// minus takes sets of scalars; numbers are left to OPA's, which has the rules of their texts.
func minus(a *value.Arena, x []*value.Node) *value.Node {
	if len(x) != 2 || x[0].Kind() != value.Set || x[1].Kind() != value.Set || x[0].Len() > maxItems || x[1].Len() > maxItems {
		return nil
	}
	left := a.Empty(value.Set, 0)
	for i := range x[0].Len() {
		e := x[0].Elem(i)
		if e.Kind() >= value.Array {
			return nil
		}
		if x[1].Get(e) == nil {
			left.Add(e)
		}
	}
	return left
}

// member looks for a scalar: comparing it with what is deeper ends at the kind.
func member(_ *value.Arena, x []*value.Node) *value.Node {
	if len(x) != 2 || x[0].Kind() >= value.Array || x[1].Len() > maxItems {
		return nil
	}
	switch x[1].Kind() {
	case value.Set:
		return value.Bool(x[1].Get(x[0]) != nil)
	case value.Array:
		for i := range x[1].Len() {
			if value.Equal(x[0], x[1].Elem(i)) {
				return value.True
			}
		}
		return value.False
	case value.Object:
		for i := range x[1].Len() {
			if _, v := x[1].Pair(i); value.Equal(x[0], v) {
				return value.True
			}
		}
		return value.False
	default:
		return nil
	}
}
