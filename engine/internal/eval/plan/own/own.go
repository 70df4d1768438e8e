// Package own has builtins that compute with the values of programs, without OPA's. Each takes only operands for which
// its answer is total and cheap; for all others it returns nil, and OPA's builtin decides or fails.
package own

import (
	"net"
	"time"

	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/topdown"
)

// Call is what the builtins of one machine share. Begin starts a decision, and End ends it. For one goroutine.
type Call struct {
	arena  *value.Arena
	cancel topdown.Cancel
	time   time.Time

	// Operands has room for those of a call, so that none is made for each. Builtins keep no operands.
	Operands [4]*value.Node
	// Kept is shared by all machines of a program.
	Kept *Kept

	steps int
	ended bool
	text  []byte // where text is written before it becomes a string

	address     net.IP // of addressText, the last that was asked for
	addressText string
}

// Begin sets what the next decision is made with.
func (c *Call) Begin(a *value.Arena, cancel topdown.Cancel, now time.Time) {
	c.arena, c.cancel, c.time, c.steps, c.ended = a, cancel, now, 0, false
	c.text = c.text[:0]
	c.address, c.addressText = nil, ""
}

// End lets go of what belongs to the decision.
func (c *Call) End() {
	c.Begin(nil, nil, time.Time{})
	clear(c.Operands[:])
	if cap(c.text) > maxDeep {
		c.text = nil
	}
}

// Ended reports whether a builtin found that the deadline has passed.
func (c *Call) Ended() bool { return c.ended }

// Builtin returns nil for operands that it does not take: OPA's builtin is called then, and decides.
type Builtin func(c *Call, x []*value.Node) *value.Node

// The largest operands that are taken. They bound what one call does between two looks at the deadline, and stay below all
// limits of OPA's builtins here (package builtins), so that no limit is passed by.
const (
	maxItems = 1 << 16
	maxBytes = 1 << 18
	maxDeep  = 1 << 10 // values of an operand that is compared or written whole
	maxDepth = 64
)

// stepsPerLook is how many items, or eighths of bytes, lie between two looks at the deadline: some hundred microseconds.
const stepsPerLook = 1 << 14

// spend counts n steps before they are made, and reports whether the decision goes on.
func (c *Call) spend(n int) bool {
	if c.steps += n + 1; c.steps < stepsPerLook {
		return true
	}
	c.steps = 0
	c.ended = c.cancel != nil && c.cancel.Cancelled()
	return !c.ended
}

// takes reports whether a list is short enough to go through.
func (c *Call) takes(list *value.Node) bool { return list.Len() <= maxItems && c.spend(list.Len()) }

// reads reports whether texts are short enough to go through.
func (c *Call) reads(texts ...string) bool {
	n := 0
	for _, s := range texts {
		n += len(s)
	}
	return n <= maxBytes && c.spend(n/8)
}

// made is a string that was made, and counts in the arena's budget.
func (c *Call) made(s string) *value.Node {
	c.arena.Count(len(s))
	return c.arena.String(s)
}

// part is s, which is a part of what x holds or all of it.
func (c *Call) part(x *value.Node, s string) *value.Node {
	if len(s) == len(x.Text()) {
		return x
	}
	return c.arena.String(s)
}

// within reports whether values are small enough to be compared or written whole.
func (c *Call) within(all ...*value.Node) bool { return c.fits(maxDeep, all...) }

// fits reports whether values have at most max parts. OPA's builtins here have limits for all of their operands.
func (c *Call) fits(max int, all ...*value.Node) bool {
	left := max
	for _, x := range all {
		if !x.Within(&left) {
			return false
		}
	}
	return c.spend(max - left)
}

// Builtins are by the names of OPA's.
var Builtins = map[string]Builtin{}

func init() {
	for _, some := range []map[string]Builtin{comparing, numbers, texts, formats, collections, objects, patterns, tokens} {
		for name, b := range some {
			Builtins[name] = b
		}
	}
}

var comparing = map[string]Builtin{
	"equal": same(true),
	"neq":   same(false),
	"lt":    compared(func(c int) bool { return c < 0 }),
	"lte":   compared(func(c int) bool { return c <= 0 }),
	"gt":    compared(func(c int) bool { return c > 0 }),
	"gte":   compared(func(c int) bool { return c >= 0 }),

	"is_string":  is(value.String),
	"is_number":  is(value.Number),
	"is_boolean": is(value.Boolean),
	"is_null":    is(value.Null),
	"is_array":   is(value.Array),
	"is_object":  is(value.Object),
	"is_set":     is(value.Set),
	"type_name":  typeName,

	"internal.member_2": member,
	"internal.member_3": memberWithKey,
	"time.now_ns":       func(c *Call, _ []*value.Node) *value.Node { return c.arena.Int(c.time.UnixNano()) },
}

// comparable reports whether two values may be compared here: a scalar with anything, since that ends at the kind, and
// collections that are not large.
func (c *Call) comparable(x, y *value.Node) bool {
	if x.Kind() < value.Array || y.Kind() < value.Array {
		return !x.IsLongNumber() && !y.IsLongNumber()
	}
	return c.within(x, y)
}

func same(want bool) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if len(x) != 2 || !c.comparable(x[0], x[1]) {
			return nil
		}
		return value.Bool(value.Equal(x[0], x[1]) == want)
	}
}

func compared(f func(c int) bool) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if len(x) != 2 || !c.comparable(x[0], x[1]) {
			return nil
		}
		return value.Bool(f(value.Compare(x[0], x[1])))
	}
}

func is(kind value.Kind) Builtin {
	return func(_ *Call, x []*value.Node) *value.Node {
		if len(x) != 1 {
			return nil
		}
		return value.Bool(x[0].Kind() == kind)
	}
}

var kindNames = [...]string{
	value.Null: "null", value.Boolean: "boolean", value.Number: "number", value.String: "string",
	value.Array: "array", value.Object: "object", value.Set: "set",
}

func typeName(c *Call, x []*value.Node) *value.Node {
	if len(x) != 1 {
		return nil
	}
	return c.arena.String(kindNames[x[0].Kind()])
}

// isNeedle takes scalars: comparing one with what is deeper ends at the kind.
func isNeedle(x *value.Node) bool {
	return x.Kind() < value.Array && !x.IsLongNumber() && len(x.Text()) <= maxBytes
}

func member(c *Call, x []*value.Node) *value.Node {
	if len(x) != 2 || !isNeedle(x[0]) {
		return nil
	}
	if x[1].Kind() == value.Set {
		return value.Bool(x[1].Get(x[0]) != nil)
	}
	if x[1].Kind() < value.Array || !c.takes(x[1]) {
		return nil
	}
	for i := range x[1].Len() {
		if value.Equal(x[0], item(x[1], i)) {
			return value.True
		}
	}
	return value.False
}

func memberWithKey(_ *Call, x []*value.Node) *value.Node {
	if len(x) != 3 || !isNeedle(x[0]) || !isNeedle(x[1]) {
		return nil
	}
	switch x[2].Kind() {
	case value.Set:
		return value.Bool(value.Equal(x[0], x[1]) && x[2].Get(x[0]) != nil)
	case value.Array, value.Object:
		there := x[2].Get(x[0])
		return value.Bool(there != nil && value.Equal(there, x[1]))
	default:
		return nil
	}
}

// item is an element of an array or set, or a value of an object.
func item(list *value.Node, i int) *value.Node {
	if list.Kind() == value.Object {
		_, v := list.Pair(i)
		return v
	}
	return list.Elem(i)
}
