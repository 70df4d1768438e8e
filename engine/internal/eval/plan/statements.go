package plan

import (
	"encoding/json"
	"fmt"
	"strconv"

	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

type jsonNumber = json.Number

// statement compiles one statement. nil is of one that does nothing.
func (c *compiler) statement(stmt ir.Stmt) (op, error) {
	switch s := stmt.(type) {
	case *ir.NopStmt:
		return nil, nil
	case *ir.BlockStmt:
		bs, err := c.blocks(s.Blocks)
		return bs.run, err
	case *ir.BreakStmt:
		end := int(s.Index) + 1
		return func(*machine, []*value.Node) int { return end }, nil
	case *ir.ReturnLocalStmt:
		source := c.local(s.Source)
		return func(m *machine, l []*value.Node) int {
			m.ret = l[source]
			return returned
		}, nil
	case *ir.ScanStmt:
		return c.scan(s)
	case *ir.NotStmt:
		return c.not(s)
	case *ir.WithStmt:
		return c.with(s)
	case *ir.CallStmt:
		return c.call(s)
	case *ir.CallDynamicStmt:
		return c.callDynamic(s), nil
	case *ir.ResultSetAddStmt:
		return c.resultAdd(s), nil
	case *ir.AssignVarOnceStmt:
		return c.assignOnce(s), nil
	}
	if do := c.test(stmt); do != nil {
		return do, nil
	}
	return c.making(stmt)
}

// test compiles what ends the block or goes on; nil for other statements.
func (c *compiler) test(stmt ir.Stmt) op {
	switch s := stmt.(type) {
	case *ir.EqualStmt:
		a, b := c.operand(s.A), c.operand(s.B)
		return func(_ *machine, l []*value.Node) int {
			x, y := a.of(l), b.of(l)
			return holds(x != nil && y != nil && value.Equal(x, y))
		}
	case *ir.NotEqualStmt: // holds with what is undefined
		a, b := c.operand(s.A), c.operand(s.B)
		return func(_ *machine, l []*value.Node) int {
			x, y := a.of(l), b.of(l)
			return holds(x != y && (x == nil || y == nil || !value.Equal(x, y)))
		}
	case *ir.IsArrayStmt:
		return c.isKind(s.Source, value.Array)
	case *ir.IsObjectStmt:
		return c.isKind(s.Source, value.Object)
	case *ir.IsSetStmt:
		return c.isKind(s.Source, value.Set)
	case *ir.IsDefinedStmt:
		source := c.local(s.Source)
		return func(_ *machine, l []*value.Node) int { return holds(l[source] != nil) }
	case *ir.IsUndefinedStmt:
		source := c.local(s.Source)
		return func(_ *machine, l []*value.Node) int { return holds(l[source] == nil) }
	}
	return nil
}

func holds(yes bool) int {
	if yes {
		return next
	}
	return ended
}

func (c *compiler) isKind(o ir.Operand, kind value.Kind) op {
	source := c.operand(o)
	return func(_ *machine, l []*value.Node) int {
		x := source.of(l)
		return holds(x != nil && x.Kind() == kind)
	}
}

// set compiles an assignment of what make returns.
func set(target int, make func(*machine) *value.Node) op {
	return func(m *machine, l []*value.Node) int {
		l[target] = make(m)
		return next
	}
}

// making compiles what makes or changes a value.
func (c *compiler) making(stmt ir.Stmt) (op, error) {
	switch s := stmt.(type) {
	case *ir.AssignVarStmt:
		source, target := c.operand(s.Source), c.local(s.Target)
		return func(_ *machine, l []*value.Node) int {
			l[target] = source.of(l)
			return next
		}, nil
	case *ir.AssignIntStmt:
		return c.constant(s.Target, ast.NumberTerm(jsonNumber(strconv.FormatInt(s.Value, 10))))
	case *ir.MakeNumberIntStmt:
		return c.constant(s.Target, ast.NumberTerm(jsonNumber(strconv.FormatInt(s.Value, 10))))
	case *ir.MakeNumberRefStmt:
		target := c.local(s.Target)
		n, err := c.number(s.Index)
		return set(target, func(*machine) *value.Node { return n }), err
	case *ir.MakeNullStmt:
		return c.constant(s.Target, ast.InternedNullTerm)
	case *ir.ResetLocalStmt:
		return set(c.local(s.Target), func(*machine) *value.Node { return nil }), nil
	case *ir.MakeArrayStmt:
		room := int(s.Capacity)
		return set(c.local(s.Target), func(m *machine) *value.Node { return m.arena.Empty(value.Array, room) }), nil
	case *ir.MakeObjectStmt:
		return set(c.local(s.Target), func(m *machine) *value.Node { return m.arena.Empty(value.Object, 0) }), nil
	case *ir.MakeSetStmt:
		return set(c.local(s.Target), func(m *machine) *value.Node { return m.arena.Empty(value.Set, 0) }), nil
	case *ir.LenStmt:
		source, target := c.operand(s.Source), c.local(s.Target)
		return func(m *machine, l []*value.Node) int {
			x := source.of(l)
			if x == nil || x.Kind() < value.Array {
				return m.ask("the length of what is no collection")
			}
			l[target] = m.arena.Int(int64(x.Len()))
			return next
		}, nil
	}
	return c.inserting(stmt)
}

// inserting compiles what adds to a value. The value that is added to is of this evaluation's arena, and nothing
// else refers to it before it is complete.
func (c *compiler) inserting(stmt ir.Stmt) (op, error) {
	switch s := stmt.(type) {
	case *ir.ArrayAppendStmt:
		x, array := c.operand(s.Value), c.local(s.Array)
		return func(m *machine, l []*value.Node) int {
			return m.added(l[array], value.Array, x.of(l), func(x *value.Node) { l[array].Append(x) })
		}, nil
	case *ir.SetAddStmt:
		x, to := c.operand(s.Value), c.local(s.Set)
		return func(m *machine, l []*value.Node) int {
			return m.added(l[to], value.Set, x.of(l), func(x *value.Node) { l[to].Add(x) })
		}, nil
	case *ir.ObjectInsertStmt:
		key, x, object := c.operand(s.Key), c.operand(s.Value), c.local(s.Object)
		return func(m *machine, l []*value.Node) int {
			k := key.of(l)
			if k == nil {
				return m.ask("a key is undefined")
			}
			return m.added(l[object], value.Object, x.of(l), func(x *value.Node) { l[object].Insert(k, x) })
		}, nil
	case *ir.ObjectInsertOnceStmt:
		key, x, object := c.operand(s.Key), c.operand(s.Value), c.local(s.Object)
		return func(m *machine, l []*value.Node) int {
			k, v := key.of(l), x.of(l)
			if k == nil || v == nil || l[object].Kind() != value.Object {
				return m.ask("a member is undefined, or of what is no object")
			}
			if before := l[object].Insert(k, v); before != nil && !value.Equal(before, v) {
				return m.ask("two values of one key")
			}
			return next
		}, nil
	case *ir.ObjectMergeStmt:
		a, b, target := c.local(s.A), c.local(s.B), c.local(s.Target)
		return func(m *machine, l []*value.Node) int {
			merged, ok := m.merge(l[a], l[b])
			if !ok {
				return m.ask("data and a rule have one place")
			}
			l[target] = merged
			return next
		}, nil
	}
	return nil, fmt.Errorf("the statement %T is unknown", stmt)
}

// added adds what is defined, to a value of a kind. It is of another where rules with heads such as r.a contains x and
// r.a.b := x make it.
func (m *machine) added(to *value.Node, kind value.Kind, x *value.Node, add func(*value.Node)) int {
	if x == nil || to.Kind() != kind {
		return m.ask("an element is undefined, or added to what has none")
	}
	add(x)
	return next
}

func (c *compiler) constant(target ir.Local, t *ast.Term) (op, error) {
	n, err := value.Constant(t)
	return set(c.local(target), func(*machine) *value.Node { return n }), err
}

// assignOnce is how rules give their value: a second one must be the same.
func (c *compiler) assignOnce(s *ir.AssignVarOnceStmt) op {
	source, target := c.operand(s.Source), c.local(s.Target)
	if c.early.is(s) {
		return func(m *machine, l []*value.Node) int {
			m.ret = source.of(l)
			return returned
		}
	}
	return func(m *machine, l []*value.Node) int {
		x := source.of(l)
		if before := l[target]; before != nil && x != nil && !value.Equal(before, x) {
			return m.ask("a rule has two values")
		}
		l[target] = x
		return next
	}
}

// resultAdd takes the document. A path has one: a second would be the planner's mistake.
func (c *compiler) resultAdd(s *ir.ResultSetAddStmt) op {
	from := c.local(s.Value)
	name, _ := value.Constant(ast.InternedTerm(resultName))
	return func(m *machine, l []*value.Node) int {
		found := l[from].Get(name)
		if found == nil || m.result != nil && !value.Equal(m.result, found) {
			return m.ask("the document has two values")
		}
		m.result = found
		return next
	}
}
