package plan

import (
	"slices"

	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ir"
)

// literals makes a constant of each array, set and object that the policy writes out, as {"", "."} is: OPA's plan
// makes it anew wherever it stands, in each iteration of a loop. What a constant is in may be one too.
func (s *simplifier) literals(b *ir.Block) {
	for again := true; again; {
		again = false
		for i, stmt := range b.Stmts {
			if _, done := s.literal[stmt]; !done && s.makesLiteral(b, b.Stmts[i:]) {
				again = true
			}
		}
	}
}

// makesLiteral reports whether the first of some statements makes a collection of constants, and notes what is to be
// done instead of the statements that add to it.
func (s *simplifier) makesLiteral(b *ir.Block, stmts []ir.Stmt) bool {
	var arena value.Arena
	target, n := emptyBy(stmts[0], &arena)
	if n == nil {
		return false
	}
	of := s.facts.local(target)
	// It is complete before something looks at it, and nothing adds to it elsewhere.
	if len(of.replaced) > 0 || of.used <= slices.Max(of.sets) || of.last > s.facts.end[b] {
		return false
	}
	adds := stmts[:1:1]
	for _, stmt := range stmts[1:] {
		if !slices.Contains(setBy(stmt), target) {
			continue
		}
		if !s.addsConstant(stmt, n) {
			return false
		}
		adds = append(adds, stmt)
	}
	if len(adds) != len(of.sets) {
		return false
	}
	kept, err := value.Constant(n.Term())
	if err != nil {
		return false
	}
	for _, stmt := range adds {
		s.literal[stmt] = nil
	}
	source := ir.Operand{Value: constant{node: kept}}
	if of.bare {
		s.literal[stmts[0]] = &ir.AssignVarStmt{Source: source, Target: target}
	} else {
		s.instead[target] = source
	}
	return true
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
