package plan

import (
	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ir"
)

// path looks up one member in another, as input.request.object.spec does, in one statement.
type path struct {
	source operand
	steps  []step
}

type step struct {
	key    operand
	hint   int  // see compiler.hint
	ofRule bool // what is looked into may be of a rule, see namedRules
}

// pathOf takes the look-ups that stand in a row, each in what the one before has found, and that nothing else reads.
// It returns how many statements they are; 0: there is none.
func (c *compiler) pathOf(stmts []ir.Stmt) (p path, target ir.Local, count int) {
	for _, stmt := range stmts {
		s, ok := stmt.(*ir.DotStmt)
		if !ok || count > 0 && (s.Source.Value != target || !c.readOnlyBy(target, s)) {
			break
		}
		if count == 0 {
			p.source = c.operand(s.Source)
		}
		local, isLocal := s.Source.Value.(ir.Local)
		p.steps = append(p.steps, step{key: c.operand(s.Key), hint: c.hint(), ofRule: isLocal && c.marked[local]})
		target = s.Target
		count++
	}
	return p, target, count
}

// readOnlyBy reports whether a statement is all that reads a local.
func (c *compiler) readOnlyBy(l ir.Local, stmt ir.Stmt) bool {
	of, at := c.facts.local(l), c.facts.at[stmt]
	return c.facts.known && of.first == at && of.last == at && len(of.replaced) == 0
}

// find returns nil where a member is undefined. ok is false if the machine has an error.
func (p *path) find(m *machine, l []*value.Node) (x *value.Node, ok bool) {
	x = p.source.of(l)
	for i := range p.steps {
		s := &p.steps[i]
		from, k := x, s.key.of(l)
		if from == nil || k == nil {
			return nil, true
		}
		if s.ofRule && m.program.names.have(k) {
			m.ask("the key of a rule may be a name in the data of another kind")
			return nil, false
		}
		if from.Kind() == value.Object && k.Kind() == value.String {
			x, m.hints[s.hint] = from.GetAt(k, m.hints[s.hint])
		} else if from.OfData() && value.NamesMember(from, k) {
			m.ask("a name in the data is given by another kind of value")
			return nil, false
		} else {
			x = from.Get(k)
		}
		switch {
		case x != nil:
		case from.Partial() && value.LeftOut(from, k):
			m.ask("a part of the data that the plan did not name")
			return nil, false
		}
	}
	return x, true
}

// lookUp compiles look-ups in a row, with the comparison that they are made for. It returns how many statements that
// is; 0: the first is no look-up.
func (c *compiler) lookUp(stmts []ir.Stmt) (op, int) {
	p, found, count := c.pathOf(stmts)
	if count == 0 {
		return nil, 0
	}
	if count < len(stmts) {
		if do := c.compared(p, found, stmts[count]); do != nil {
			return do, count + 1
		}
	}
	target := c.local(found)
	return func(m *machine, l []*value.Node) int {
		x, ok := p.find(m, l)
		if !ok {
			return failed
		}
		if x == nil {
			return ended
		}
		l[target] = x
		return next
	}, count
}

// compared compiles the comparison of what a path has found, if nothing else reads that; nil: it is none.
func (c *compiler) compared(p path, found ir.Local, stmt ir.Stmt) op {
	var a, b ir.Operand
	equal := true
	switch s := stmt.(type) {
	case *ir.EqualStmt:
		a, b = s.A, s.B
	case *ir.NotEqualStmt:
		a, b, equal = s.A, s.B, false
	default:
		return nil
	}
	if a.Value != found {
		a, b = b, a
	}
	if a.Value != found || b.Value == found || !c.readOnlyBy(found, stmt) {
		return nil
	}
	other := c.operand(b)
	return func(m *machine, l []*value.Node) int {
		x, ok := p.find(m, l)
		if !ok {
			return failed
		}
		if x == nil {
			return ended
		}
		y := other.of(l)
		if y == nil {
			return holds(!equal) // what is undefined is not equal to anything
		}
		return holds(value.Equal(x, y) == equal)
	}
}
