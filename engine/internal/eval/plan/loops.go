package plan

import (
	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ir"
)

// loop is a compiled loop over a collection.
type loop struct {
	source, key, element int
	keyed                bool // something reads the key
	anyOrder             bool
	body                 block
	join                 *join // nil: it looks at all elements
	apart                bool  // it looks for keys of which a part is known, in what a rule makes
}

// scan compiles a loop over a collection. What is none has no iterations.
func (c *compiler) scan(s *ir.ScanStmt) (op, error) {
	o := &loop{source: c.local(s.Source), key: c.local(s.Key), element: c.local(s.Value), keyed: c.facts.reads(s.Key)}
	o.anyOrder = c.anyOrder(s)
	o.apart = c.marked[s.Source] && takesApart(s.Block, s.Key)
	var err error
	if o.join, err = c.joinOf(s); err != nil {
		return nil, err
	}
	o.body, err = c.block(s.Block)
	return o.run, err
}

func (o *loop) run(m *machine, l []*value.Node) int {
	from := l[o.source]
	if from == nil || from.Kind() < value.Array {
		return next
	}
	if from.Partial() {
		return m.ask("a loop over data of which parts were left out")
	}
	if o.apart && m.program.names != (names{}) {
		return m.ask("a part of the key of a rule may be a name in the data of another kind")
	}
	if !o.anyOrder {
		from.Sort()
	}
	// The items as they are now: what the iterations do may sort the collection.
	n, items := from.Len(), from.Items()
	if o.join != nil && n >= value.FewToJoin {
		found, i, end, ok := o.join.matches(m, l, from)
		if end != next {
			return outward(end)
		}
		if ok {
			for ; i >= 0; i = found.Next(i) {
				if end := o.iteration(m, l, from.Kind(), items, i); end > ended || end < next {
					return outward(end)
				}
			}
			return next
		}
	}
	for i := range n {
		if end := o.iteration(m, l, from.Kind(), items, i); end > ended || end < next {
			return outward(end)
		}
	}
	return next
}

func (o *loop) iteration(m *machine, l []*value.Node, kind value.Kind, items []*value.Node, i int) int {
	if !m.tick() {
		return failed
	}
	switch kind {
	case value.Array:
		l[o.element] = items[i]
		if o.keyed {
			l[o.key] = m.arena.Int(int64(i))
		}
	case value.Object:
		l[o.key], l[o.element] = items[2*i], items[2*i+1]
	default:
		l[o.key], l[o.element] = items[i], items[i]
	}
	return o.body.run(m, l)
}

// not compiles a negation: it goes on where its block does not come to an end.
func (c *compiler) not(s *ir.NotStmt) (op, error) {
	body, err := c.block(s.Block)
	return func(m *machine, l []*value.Node) int {
		switch end := body.run(m, l); end {
		case next:
			return ended
		case ended:
			return next
		default:
			return outward(end)
		}
	}, err
}

// with compiles what replaces input or data, or a part of them, while its block runs.
func (c *compiler) with(s *ir.WithStmt) (op, error) {
	local, x := c.local(s.Local), c.operand(s.Value)
	path := make([]*value.Node, len(s.Path))
	for i, p := range s.Path {
		path[i] = c.texts[p]
	}
	body, err := c.block(s.Block)
	return func(m *machine, l []*value.Node) int {
		before := l[local]
		l[local] = x.of(l)
		if len(path) > 0 {
			if l[local] == nil {
				l[local] = before
				return m.ask("a with whose value is undefined")
			}
			l[local] = m.replace(before, path, l[local])
		}
		end := body.run(m, l)
		l[local] = before
		if end == ended {
			return ended
		}
		return outward(end)
	}, err
}

// replace is a copy of an object in which the member at path is x. What stands in the way of the path is replaced.
func (m *machine) replace(in *value.Node, path []*value.Node, x *value.Node) *value.Node {
	if len(path) == 0 {
		return x
	}
	var below, out *value.Node
	if in != nil && in.Kind() == value.Object {
		out, below = m.arena.Copy(in), in.Get(path[0])
	} else {
		out = m.arena.Empty(value.Object, 1)
	}
	out.Insert(path[0], m.replace(below, path[1:], x))
	return out
}

// merge is the union of data and rules. Only objects have a union; nil is the absence of one.
func (m *machine) merge(a, b *value.Node) (*value.Node, bool) {
	if a == nil || b == nil || a.Kind() != value.Object || b.Kind() != value.Object || a.Partial() {
		return nil, false
	}
	out := m.arena.Copy(a)
	for i := range b.Len() {
		key, x := b.Pair(i)
		if there := a.Get(key); there != nil {
			var ok bool
			if x, ok = m.merge(there, x); !ok {
				return nil, false
			}
		}
		out.Insert(key, x)
	}
	return out, true
}
