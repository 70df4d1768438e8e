package plan

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ir"
)

// orderFinder finds out whether the order in which a loop goes through a set or an object shows. If it does not, the
// collection need not be sorted. The order shows
//
//   - in arrays that iterations append to, and in values that the last or the first iteration leaves behind;
//   - where an iteration ends the loop, and others may fail: which of them OPA's evaluator meets first decides.
//
// It does not show in sets. Which spelling of equal numbers a set keeps is left to chance in OPA as well.
type orderFinder struct {
	c        *compiler
	at, end  int // of the loop, and of its block
	made     map[ir.Local]bool
	ends     bool // an iteration may end the loop
	fallible bool // an iteration may fail
}

func (c *compiler) anyOrder(s *ir.ScanStmt) bool {
	if !c.facts.known {
		return false
	}
	f := orderFinder{c: c, at: c.facts.at[s], end: c.facts.end[s.Block], made: map[ir.Local]bool{}}
	for _, l := range setBy(s) {
		if !c.facts.readOnlyIn(l, f.at, f.end) {
			return false
		}
	}
	return f.block(s.Block, 0) && (!f.ends || !f.fallible)
}

// block reports whether no statement in a block, so many blocks deep in the loop, shows the order.
func (f *orderFinder) block(b *ir.Block, deep uint32) bool {
	defer f.c.facts.enter(b)()
	for _, stmt := range b.Stmts {
		if !f.statement(stmt, b, deep) {
			return false
		}
		for _, inner := range blocksIn(stmt) {
			if !f.block(inner, deep+1) {
				return false
			}
		}
	}
	return true
}

func (f *orderFinder) statement(stmt ir.Stmt, in *ir.Block, deep uint32) bool {
	f.fallible = f.fallible || !f.c.infallible(stmt, f.c.early != nil)
	switch s := stmt.(type) {
	case *ir.ReturnLocalStmt:
		f.ends = true
	case *ir.BreakStmt:
		f.ends = f.ends || s.Index > deep
	case *ir.AssignVarOnceStmt:
		_, local := s.Source.Value.(ir.Local)
		f.ends = f.ends || f.c.early.is(s)
		return !local
	case *ir.MakeArrayStmt:
		f.made[s.Target] = true
	case *ir.MakeObjectStmt:
		f.made[s.Target] = true
	case *ir.ArrayAppendStmt:
		return f.made[s.Array]
	case *ir.ObjectInsertStmt:
		return f.made[s.Object]
	case *ir.SetAddStmt, *ir.ObjectInsertOnceStmt:
		return true
	case *ir.CallDynamicStmt, *ir.ObjectMergeStmt, *ir.ResultSetAddStmt:
		return false
	}
	for _, l := range setBy(stmt) {
		if !f.leavesNothing(l, stmt, in) {
			return false
		}
	}
	return true
}

// leavesNothing reports whether what a statement sets is read in the same iteration only, or is the same from all of
// them.
func (f *orderFinder) leavesNothing(l ir.Local, stmt ir.Stmt, in *ir.Block) bool {
	facts := f.c.facts
	sets := 0
	for _, at := range facts.local(l).sets {
		if f.at < at && at < facts.at[stmt] {
			return true // the first one was looked at
		}
		if f.at < at && at <= f.end {
			sets++
		}
	}
	if facts.readOnlyIn(l, facts.at[stmt], facts.end[in]) {
		return true
	}
	s, assigns := stmt.(*ir.AssignVarStmt)
	if !assigns || sets > 1 {
		return false
	}
	_, local := s.Source.Value.(ir.Local)
	return !local
}

// infallible reports whether a statement cannot fail in OPA's evaluator. Blocks in it are not looked into. A rule or
// function that ends early has one value only, so no two can differ.
func (c *compiler) infallible(stmt ir.Stmt, early bool) bool {
	switch s := stmt.(type) {
	case *ir.CallStmt:
		if _, ours := c.byName[s.Func]; ours {
			return c.cannotFail[s.Func]
		}
		return total(s.Func)
	case *ir.AssignVarOnceStmt:
		return early
	case *ir.WithStmt, *ir.CallDynamicStmt, *ir.ObjectInsertOnceStmt, *ir.ObjectMergeStmt:
		return false
	default:
		_, known := withReads(stmt, func(o ir.Operand) ir.Operand { return o }, func(l ir.Local) ir.Local { return l })
		return known
	}
}

// total reports whether a builtin has a value for operands of all kinds.
func total(name string) bool {
	switch name {
	case "equal", "neq", "lt", "lte", "gt", "gte", "internal.member_2", "internal.member_3", "type_name":
		return true
	default:
		return strings.HasPrefix(name, "is_")
	}
}

// findInfallible finds the functions in which nothing can fail. They call each other, so one is taken for such until
// a statement is found that is not.
func (c *compiler) findInfallible() {
	c.cannotFail = map[string]bool{}
	for _, f := range c.policy.Funcs.Funcs {
		c.cannotFail[f.Name] = true
	}
	for again := true; again; {
		again = false
		for _, f := range c.policy.Funcs.Funcs {
			if c.cannotFail[f.Name] && !c.allInfallible(f.Blocks, earlyOf(f) != nil) {
				c.cannotFail[f.Name], again = false, true
			}
		}
	}
}

func (c *compiler) allInfallible(bs []*ir.Block, early bool) bool {
	for _, b := range bs {
		for _, stmt := range b.Stmts {
			if !c.infallible(stmt, early) || !c.allInfallible(blocksIn(stmt), early) {
				return false
			}
		}
	}
	return true
}
