package plan

import "github.com/open-policy-agent/opa/v1/ir"

// early is how a function ends as soon as it has its value, as rules do in OPA whose bodies all give one constant.
// Without it, a body after the one that is true would be evaluated, and an error in it would send each decision to
// OPA's evaluator.
type early struct {
	at map[*ir.AssignVarOnceStmt]bool
}

func (e *early) is(s *ir.AssignVarOnceStmt) bool { return e != nil && e.at[s] }

// maxEarlyBodies is how many bodies keep their order when OPA's planner sorts the rules of a place: its sort is not
// stable for more. An early end must leave out no body that OPA's evaluator meets first.
const maxEarlyBodies = 12

// earlyOf returns nil for a function that must be evaluated to its end: one with else, or with several values, or
// whose value is computed.
func earlyOf(f *ir.Func) *early {
	e := &early{at: map[*ir.AssignVarOnceStmt]bool{}}
	var constant ir.Val
	bodies := 0
	for _, b := range f.Blocks {
		if gives(b, f.Return) != nil || isReturn(b) {
			continue // of a body, by way of another local; or the default; or the end
		}
		found := gives(b, -1)
		if found == nil {
			return nil // a set, an object, or rules with else
		}
		switch found.Source.Value.(type) {
		case ir.StringIndex, ir.Bool:
		default:
			return nil
		}
		if constant != nil && constant != found.Source.Value {
			return nil
		}
		constant = found.Source.Value
		e.at[found] = true
		bodies++
	}
	if bodies == 0 || bodies > maxEarlyBodies {
		return nil
	}
	return e
}

func isReturn(b *ir.Block) bool {
	if len(b.Stmts) != 1 {
		return false
	}
	_, ok := b.Stmts[0].(*ir.ReturnLocalStmt)
	return ok
}

// gives finds the statement that gives a rule its value, in a block and in loops in it; target -1 is any.
// A rule with else begins with a block that holds the bodies, which is not looked into.
func gives(b *ir.Block, target ir.Local) (found *ir.AssignVarOnceStmt) {
	if len(b.Stmts) == 1 {
		if _, ok := b.Stmts[0].(*ir.BlockStmt); ok {
			return nil
		}
	}
	var walk func(b *ir.Block)
	several := false
	walk = func(b *ir.Block) {
		for _, stmt := range b.Stmts {
			switch s := stmt.(type) {
			case *ir.AssignVarOnceStmt:
				if target < 0 || s.Target == target {
					several = several || found != nil
					found = s
				}
			case *ir.ScanStmt:
				walk(s.Block)
			case *ir.BlockStmt:
				for _, inner := range s.Blocks {
					walk(inner)
				}
			case *ir.WithStmt:
				walk(s.Block)
			}
		}
	}
	walk(b)
	if several {
		return nil
	}
	return found
}
