package plan

import (
	"slices"

	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ir"
)

// literals makes a constant of each array, set and object that the policy writes out, as {"", "."} is: OPA's plan
// makes it anew wherever it stands, in each iteration of a loop. What a constant is in may be one too.
func (s *simplifier) literals(b *ir.Block) {
	// From the end, since OPA's plan makes what is in a collection after the collection.
	for _, stmt := range slices.Backward(b.Stmts) {
		s.literalOf(b, stmt)
	}
}

// literalOf notes what is to be done instead of a statement that makes a collection of constants, and of those that
// add to it.
func (s *simplifier) literalOf(b *ir.Block, first ir.Stmt) {
	var arena value.Arena
	target, n := emptyBy(first, &arena)
	if n == nil {
		return
	}
	of := s.facts.local(target)
	// It is complete before something looks at it, and nothing adds to it elsewhere.
	last := of.sets[len(of.sets)-1]
	if s.facts.stmts[of.sets[0]].Stmt != first || len(of.replaced) > 0 || of.used <= last || of.last > s.facts.end[b] {
		return
	}
	for _, at := range of.sets[1:] {
		if add := s.facts.stmts[at]; add.in != b || !s.addsConstant(add.Stmt, n) {
			return
		}
	}
	kept, err := value.Constant(n.Term())
	if err != nil {
		return
	}
	for _, at := range of.sets {
		s.literal[s.facts.stmts[at].Stmt] = nil
	}
	source := ir.Operand{Value: constant{node: kept}}
	if of.bare {
		s.literal[first] = &ir.AssignVarStmt{Source: source, Target: target}
	} else {
		s.instead[of] = source
	}
}

// emptyBy returns nil for what makes no collection.
func emptyBy(stmt ir.Stmt, a *value.Arena) (ir.Local, *value.Node) {
	switch s := stmt.(type) {
	case *ir.MakeArrayStmt:
		return s.Target, a.Empty(value.Array, 0)
	case *ir.MakeSetStmt:
		return s.Target, a.Empty(value.Set, 0)
	case *ir.MakeObjectStmt:
		return s.Target, a.Empty(value.Object, 0)
	default:
		return 0, nil
	}
}

// addsConstant adds to n what a statement adds, if that is constant.
func (s *simplifier) addsConstant(stmt ir.Stmt, n *value.Node) bool {
	switch stmt := stmt.(type) {
	case *ir.ArrayAppendStmt:
		if x := s.constant(stmt.Value); x != nil && n.Kind() == value.Array {
			n.Append(x)
			return true
		}
	case *ir.SetAddStmt:
		if x := s.constant(stmt.Value); x != nil && n.Kind() == value.Set {
			n.Add(x)
			return true
		}
	case *ir.ObjectInsertStmt:
		if k, x := s.constant(stmt.Key), s.constant(stmt.Value); k != nil && x != nil && n.Kind() == value.Object {
			n.Insert(k, x)
			return true
		}
	}
	return false
}

// constant returns nil for an operand that is none.
func (s *simplifier) constant(o ir.Operand) *value.Node {
	switch v := s.operand(o).Value.(type) {
	case ir.StringIndex:
		return s.c.texts[v]
	case ir.Bool:
		return value.Bool(bool(v))
	case constant:
		return v.node
	default:
		return nil
	}
}
