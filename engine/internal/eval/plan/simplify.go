package plan

import (
	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ir"
)

// simplified are the blocks of a function without what OPA's planner writes and nothing needs: jumps to where the
// plan goes on anyway, and copies of locals and constants. A loop has a statement or two less for each of them. The
// plan itself is not changed.
func (c *compiler) simplified(bs []*ir.Block) []*ir.Block {
	straight := make([]*ir.Block, len(bs))
	for i, b := range bs {
		straight[i] = withoutJumps(b)
	}
	s := simplifier{c: c, facts: factsOf(straight), instead: map[*localFacts]ir.Operand{}, literal: map[ir.Stmt]ir.Stmt{}}
	if !s.facts.known {
		return straight // what a statement of another kind reads is not known
	}
	out := make([]*ir.Block, len(straight))
	for i, b := range straight {
		out[i] = s.block(b)
	}
	return out
}

// withoutJumps writes a block in a row that the planner has in two blocks, one in the other, so that what is
// undefined in it ends what is around both. That is what it does without them.
func withoutJumps(b *ir.Block) *ir.Block {
	out := &ir.Block{}
	for _, stmt := range b.Stmts {
		stmt = withBlocks(stmt, withoutJumps)
		if s, ok := stmt.(*ir.BlockStmt); ok {
			if row, ok := inARow(s); ok {
				out.Stmts = append(out.Stmts, row...)
				continue
			}
		}
		out.Stmts = append(out.Stmts, stmt)
	}
	return out
}

// inARow returns the statements of { { statements; break 1 }; break 1 }.
func inARow(s *ir.BlockStmt) (row []ir.Stmt, ok bool) {
	if len(s.Blocks) != 1 || len(s.Blocks[0].Stmts) != 2 || !breaks(s.Blocks[0].Stmts[1], 1) {
		return nil, false
	}
	inner, ok := s.Blocks[0].Stmts[0].(*ir.BlockStmt)
	if !ok || len(inner.Blocks) != 1 {
		return nil, false
	}
	all := inner.Blocks[0].Stmts
	if len(all) == 0 || !breaks(all[len(all)-1], 1) || leaves(all[:len(all)-1], 0) {
		return nil, false
	}
	return all[:len(all)-1], true
}

func breaks(stmt ir.Stmt, index uint32) bool {
	b, ok := stmt.(*ir.BreakStmt)
	return ok && b.Index == index
}

// leaves reports whether one of the statements, or one so many blocks deep in them, may end more blocks than they are
// in.
func leaves(all []ir.Stmt, deep uint32) bool {
	for _, stmt := range all {
		switch s := stmt.(type) {
		case *ir.BreakStmt:
			if s.Index > deep {
				return true
			}
		case *ir.CallDynamicStmt: // it ends several blocks where its rule is undefined
			return true
		}
		for _, b := range blocksIn(stmt) {
			if leaves(b.Stmts, deep+1) {
				return true
			}
		}
	}
	return false
}

// withBlocks is a statement with other blocks in it.
func withBlocks(stmt ir.Stmt, of func(*ir.Block) *ir.Block) ir.Stmt {
	switch s := stmt.(type) {
	case *ir.BlockStmt:
		c := *s
		c.Blocks = make([]*ir.Block, len(s.Blocks))
		for i, b := range s.Blocks {
			c.Blocks[i] = of(b)
		}
		return &c
	case *ir.ScanStmt:
		c := *s
		c.Block = of(s.Block)
		return &c
	case *ir.NotStmt:
		c := *s
		c.Block = of(s.Block)
		return &c
	case *ir.WithStmt:
		c := *s
		c.Block = of(s.Block)
		return &c
	default:
		return stmt
	}
}

// simplifier puts what is copied where the copy is read.
type simplifier struct {
	c       *compiler
	facts   *facts
	instead map[*localFacts]ir.Operand
	literal map[ir.Stmt]ir.Stmt // what is done instead of making a constant; nil: nothing
}

func (s *simplifier) block(b *ir.Block) *ir.Block {
	defer s.facts.enter(b)()
	out, end := &ir.Block{}, s.facts.end[b]
	for _, stmt := range b.Stmts {
		// Numbers are what literals hold. What is copied may be a literal itself, and is looked at after them.
		if _, source, ok := s.c.copied(stmt); ok && s.constant(source) != nil {
			s.copies(stmt, s.facts.at[stmt], end)
		}
	}
	s.literals(b)
	for _, stmt := range b.Stmts {
		at := s.facts.at[stmt]
		if instead, made := s.literal[stmt]; made {
			if instead != nil {
				out.Stmts = append(out.Stmts, instead)
			}
			continue
		}
		if s.copies(stmt, at, end) {
			continue
		}
		changed, _ := withReads(stmt, s.operand, func(l ir.Local) ir.Local {
			if other, ok := s.operand(ir.Operand{Value: l}).Value.(ir.Local); ok {
				return other
			}
			return l
		})
		out.Stmts = append(out.Stmts, withBlocks(changed, s.block))
	}
	return out
}

func (s *simplifier) operand(o ir.Operand) ir.Operand {
	if l, ok := o.Value.(ir.Local); ok {
		if other, ok := s.instead[s.facts.local(l)]; ok {
			return other
		}
	}
	return o
}

// copies notes a statement that gives a local the value of another one, or a constant, if all that reads the local
// finds this value, and finds it in the other one too.
func (s *simplifier) copies(stmt ir.Stmt, at, end int) bool {
	target, source, ok := s.c.copied(stmt)
	if !ok {
		return false
	}
	of := s.facts.local(target)
	if len(of.sets) != 1 || len(of.replaced) > 0 || !s.facts.readOnlyIn(target, at, end) {
		return false
	}
	source = s.operand(source)
	if l, ok := source.Value.(ir.Local); ok {
		if s.facts.setIn(l, at, end) {
			return false
		}
	} else if of.bare {
		return false
	}
	s.instead[of] = source
	return true
}

// constant is an operand that no statement of OPA's has: a number, or null.
type constant struct {
	ir.Val

	node *value.Node
}

// copied returns what an assignment assigns.
func (c *compiler) copied(stmt ir.Stmt) (target ir.Local, source ir.Operand, ok bool) {
	switch s := stmt.(type) {
	case *ir.AssignVarStmt:
		return s.Target, s.Source, true
	case *ir.AssignIntStmt:
		return s.Target, c.integer(s.Value), true
	case *ir.MakeNumberIntStmt:
		return s.Target, c.integer(s.Value), true
	case *ir.MakeNumberRefStmt:
		n, err := c.number(s.Index)
		return s.Target, ir.Operand{Value: constant{node: n}}, err == nil
	case *ir.MakeNullStmt:
		return s.Target, ir.Operand{Value: constant{node: value.NullNode}}, true
	default:
		return 0, ir.Operand{}, false
	}
}
