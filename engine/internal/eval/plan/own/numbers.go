package own

import (
	"math"
	"math/bits"
	"strconv"

	"defenseclaw/engine/internal/eval/plan/value"
)

// numbers take integers that are written plainly, where the result is one as well. All else has rules of its own in OPA's:
// how a fraction is rounded, and how a large number is written.
var numbers = map[string]Builtin{
	"plus":  arithmetic(add),
	"minus": minus,
	"mul":   arithmetic(multiply),
	"div":   arithmetic(divide),
	"rem":   arithmetic(remainder),
	"abs":   smallInt(func(i int64) int64 { return max(i, -i) }),
	"ceil":  smallInt(func(i int64) int64 { return i }),
	"floor": smallInt(func(i int64) int64 { return i }),
	"round": smallInt(func(i int64) int64 { return i }),

	"sum":           folded(0, add),
	"product":       folded(1, multiply),
	"max":           extreme(1),
	"min":           extreme(-1),
	"numbers.range": numbersRange,
	"to_number":     toNumber,
	"format_int":    formatInt,
}

func arithmetic(f func(x, y int64) (int64, bool)) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if len(x) != 2 {
			return nil
		}
		a, ok1 := x[0].PlainInt()
		b, ok2 := x[1].PlainInt()
		if !ok1 || !ok2 {
			return nil
		}
		if n, ok := f(a, b); ok {
			return c.arena.Int(n)
		}
		return nil
	}
}

func add(x, y int64) (int64, bool) {
	sum := x + y
	return sum, (sum > x) == (y > 0)
}

func subtract(x, y int64) (int64, bool) {
	difference := x - y
	return difference, (difference < x) == (y > 0)
}

func multiply(x, y int64) (int64, bool) {
	if x == math.MinInt64 || y == math.MinInt64 { // which has no absolute value
		return 0, false
	}
	high, low := bits.Mul64(uint64(max(x, -x)), uint64(max(y, -y))) //nolint:gosec // not negative
	if high != 0 || low > math.MaxInt64 {
		return 0, false
	}
	return x * y, true
}

// divide takes what OPA's divides as integers: others become fractions, and a zero may become -0.
func divide(x, y int64) (int64, bool) {
	if !is32(x) || !is32(y) || x == 0 || y == 0 || x%y != 0 {
		return 0, false
	}
	return x / y, true
}

func remainder(x, y int64) (int64, bool) {
	if y == 0 || y == -1 { // the smallest integer has no remainder by -1 in a processor
		return 0, false
	}
	return x % y, true
}

func is32(i int64) bool { return math.MinInt32 <= i && i <= math.MaxInt32 }

func smallInt(f func(i int64) int64) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if len(x) != 1 {
			return nil
		}
		i, ok := x[0].PlainInt()
		if !ok || !is32(i) {
			return nil
		}
		return c.arena.Int(f(i))
	}
}

func isList(n *value.Node) bool { return n.Kind() == value.Array || n.Kind() == value.Set }

func folded(first int64, f func(x, y int64) (int64, bool)) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if len(x) != 1 || !isList(x[0]) || !c.takes(x[0]) {
			return nil
		}
		total := first
		for i := range x[0].Len() {
			n, ok := x[0].Elem(i).PlainInt()
			if ok {
				total, ok = f(total, n)
			}
			if !ok {
				return nil
			}
		}
		return c.arena.Int(total)
	}
}

// extreme is the last of the largest elements, or of the smallest, as OPA's has it for arrays. A set has no two that are equal.
func extreme(sign int) Builtin {
	return func(c *Call, x []*value.Node) *value.Node {
		if len(x) != 1 || !isList(x[0]) || x[0].Len() == 0 || !c.takes(x[0]) {
			return nil
		}
		best, bytes := x[0].Elem(0), 0
		for i := range x[0].Len() {
			e := x[0].Elem(i)
			if bytes += len(e.Text()); e.Kind() >= value.Array || e.IsLongNumber() || bytes > maxBytes {
				return nil
			}
			if sign*value.Compare(e, best) >= 0 {
				best = e
			}
		}
		return best
	}
}

func numbersRange(c *Call, x []*value.Node) *value.Node {
	if len(x) != 2 {
		return nil
	}
	from, ok1 := x[0].PlainInt()
	to, ok2 := x[1].PlainInt()
	if !ok1 || !ok2 || !is32(from) || !is32(to) {
		return nil
	}
	step, n := int64(1), to-from
	if n < 0 {
		step, n = -1, -n
	}
	if n >= maxItems || !c.spend(int(n)) {
		return nil
	}
	list := c.arena.Empty(value.Array, int(n)+1)
	for i := range n + 1 {
		list.Append(c.arena.Int(from + i*step))
	}
	return list
}

// toNumber takes texts of integers that are written plainly.
func toNumber(c *Call, x []*value.Node) *value.Node {
	if len(x) != 1 {
		return nil
	}
	switch x[0].Kind() {
	case value.Null:
		return c.arena.Int(0)
	case value.Boolean:
		if x[0] == value.True {
			return c.arena.Int(1)
		}
		return c.arena.Int(0)
	case value.Number:
		if x[0].Exact() {
			return x[0]
		}
	case value.String:
		const digits = 18
		text := x[0].Text()
		if len(text) > digits {
			return nil
		}
		if i, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(i, 10) == text {
			return c.arena.Int(i)
		}
	}
	return nil
}

func formatInt(c *Call, x []*value.Node) *value.Node {
	if len(x) != 2 {
		return nil
	}
	i, ok1 := x[0].PlainInt()
	base, ok2 := x[1].PlainInt()
	if !ok1 || !ok2 || base != 2 && base != 8 && base != 10 && base != 16 {
		return nil
	}
	return c.made(strconv.FormatInt(i, int(base)))
}
