package plan

import "defenseclaw/engine/internal/eval/plan/value"

// byElement finds the elements of an array, and the values of an object.
var byElement = value.NewJoin([]value.Way{{}})

// member compiles a test whether a collection has an element. A long one is not gone through: an index finds the
// element, which data has once for a generation. otherwise is the call of the builtin, for what has no index.
func (c *compiler) member(args []operand, target int, otherwise op) op {
	j := &join{by: byElement, seen: c.program.joins}
	c.program.joins++
	return func(m *machine, l []*value.Node) int {
		x, in := args[0].of(l), args[1].of(l)
		if x == nil || in == nil || x.Kind() >= value.Array || in.Kind() != value.Array && in.Kind() != value.Object ||
			in.Partial() || in.Len() < value.FewToJoin || in.Owned() && !m.joined(j, in) {
			return otherwise(m, l)
		}
		found := in.Matches(j.by, m.tick)
		if found == nil {
			if m.err != nil {
				return failed
			}
			return otherwise(m, l)
		}
		l[target] = value.False
		for i := found.First(value.JoinHash(0, x)); i >= 0; i = found.Next(i) {
			if value.Equal(in.Item(i), x) {
				l[target] = value.True
				break
			}
		}
		return next
	}
}
