package plan

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ir"
)

// facts are where the locals of one function are read and set. Statements are counted in the order in which they are
// written, those of a block after the statement that holds it.
//
// OPA's planner begins each body of a rule, and each else, with the same locals. One that stands for another value in
// each has facts of its own there.
type facts struct {
	all   *scope
	inner map[*ir.Block]*scope
	scope *scope // that is asked about
	at    map[ir.Stmt]int
	stmts []placed          // by number, from 1
	end   map[*ir.Block]int // the number of the last statement in a block, or in the blocks in it
	known bool              // every statement is of a known kind
}

// placed is a statement, and the block that it is in.
type placed struct {
	ir.Stmt

	in *ir.Block
}

// scope is a block of a function, or of a statement that holds several.
type scope struct {
	around *scope
	inner  []*scope
	locals map[ir.Local]*localFacts
}

type localFacts struct {
	first, last int       // where it is read; 0: nowhere
	sets        []int     // where it, or what it holds, is given a value
	in          *ir.Block // that has the first set
	replaced    []int     // where a with replaces it for a block
	used        int       // where it is read first by a statement that does not only add to what it holds; 0: nowhere
	bare        bool      // such a statement takes no constant there
}

func factsOf(bs []*ir.Block) *facts {
	f := &facts{
		all: &scope{}, inner: map[*ir.Block]*scope{}, known: true,
		at: map[ir.Stmt]int{}, stmts: make([]placed, 1), end: map[*ir.Block]int{},
	}
	f.scope = f.all
	for _, b := range bs {
		f.within(b)
	}
	for f.settle(f.all) {
		continue // what one scope needs from outside of it shows in the others
	}
	return f
}

// within finds the facts of a block that is a scope.
func (f *facts) within(b *ir.Block) {
	inner := &scope{around: f.scope, locals: map[ir.Local]*localFacts{}}
	f.scope.inner, f.inner[b] = append(f.scope.inner, inner), inner
	f.scope = inner
	f.block(b)
	f.scope = inner.around
}

// enter has the facts of a block asked about, until what it returns is called.
func (f *facts) enter(b *ir.Block) (leave func()) {
	before := f.scope
	if inner := f.inner[b]; inner != nil {
		f.scope = inner
	}
	return func() { f.scope = before }
}

// settle gives a scope the facts of locals that are no matter of the scopes in it alone, and reports whether there
// were such.
func (f *facts) settle(s *scope) (changed bool) {
	for _, inner := range s.inner {
		changed = f.settle(inner) || changed
		for l, of := range inner.locals {
			if f.ownOf(of) && !s.read(l) {
				continue
			}
			delete(inner.locals, l)
			if s.locals == nil {
				s.locals = map[ir.Local]*localFacts{}
			}
			if s.locals[l] == nil {
				s.locals[l] = &localFacts{}
			}
			s.locals[l].add(of)
			changed = true
		}
	}
	return changed
}

// ownOf reports whether all that reads a local comes after it was set in the same scope.
func (f *facts) ownOf(of *localFacts) bool {
	return of.first == 0 || len(of.sets) > 0 && of.first > of.sets[0] && of.last <= f.end[of.in]
}

// read reports whether something in a scope, or around it, reads a local that scopes in it may set.
func (s *scope) read(l ir.Local) bool {
	for ; s != nil; s = s.around {
		if of := s.locals[l]; of != nil && of.first > 0 {
			return true
		}
	}
	return false
}

// add adds what another scope does with a local.
func (of *localFacts) add(other *localFacts) {
	of.first, of.used = earlier(of.first, other.first), earlier(of.used, other.used)
	of.last = max(of.last, other.last)
	if len(of.sets) == 0 || len(other.sets) > 0 && other.sets[0] < of.sets[0] {
		of.in = other.in
	}
	ordered := len(of.sets) == 0 || len(other.sets) == 0 || of.sets[len(of.sets)-1] < other.sets[0]
	of.sets, of.replaced = append(of.sets, other.sets...), append(of.replaced, other.replaced...)
	if !ordered {
		slices.Sort(of.sets)
	}
	of.bare = of.bare || other.bare
}

func earlier(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// local are the facts of a local where it is asked about.
func (f *facts) local(l ir.Local) *localFacts {
	for s := f.scope; s != nil; s = s.around {
		if of := s.locals[l]; of != nil {
			return of
		}
	}
	return &localFacts{}
}

// noted are the facts of a local in the scope that is gone through.
func (f *facts) noted(l ir.Local) *localFacts {
	of := f.scope.locals[l]
	if of == nil {
		of = &localFacts{}
		f.scope.locals[l] = of
	}
	return of
}

func (f *facts) block(b *ir.Block) {
	for _, stmt := range b.Stmts {
		at := len(f.stmts)
		f.stmts = append(f.stmts, placed{stmt, b})
		f.at[stmt] = at
		read := func(l ir.Local, bare bool) {
			of := f.noted(l)
			if of.first == 0 {
				of.first = at
			}
			of.last = at
			if slices.Contains(setBy(stmt), l) {
				return
			}
			of.bare = of.bare || bare
			if of.used == 0 {
				of.used = at
			}
		}
		_, known := withReads(stmt, func(o ir.Operand) ir.Operand {
			if l, ok := o.Value.(ir.Local); ok {
				read(l, false)
			}
			return o
		}, func(l ir.Local) ir.Local {
			read(l, true)
			return l
		})
		f.known = f.known && known
		for _, l := range setBy(stmt) {
			of := f.noted(l)
			if of.sets = append(of.sets, at); of.in == nil {
				of.in = b
			}
		}
		if s, ok := stmt.(*ir.WithStmt); ok {
			of := f.noted(s.Local)
			of.replaced = append(of.replaced, at)
		}
		_, several := stmt.(*ir.BlockStmt)
		for _, inner := range blocksIn(stmt) {
			if several {
				f.within(inner)
			} else {
				f.block(inner)
			}
		}
	}
	f.end[b] = len(f.stmts) - 1
}

// reads reports whether something reads a local, or may: all that a statement of an unknown kind reads is not known.
func (f *facts) reads(l ir.Local) bool { return !f.known || f.local(l).first > 0 }

// readOnlyIn reports whether all that reads a local comes after one statement, in the block that ends at end. It then
// finds what the statement has set each time.
func (f *facts) readOnlyIn(l ir.Local, after, end int) bool {
	of := f.local(l)
	return of.first == 0 || of.first > after && of.last <= end
}

// setIn reports whether a local may get another value between two statements.
func (f *facts) setIn(l ir.Local, after, end int) bool {
	of := f.local(l)
	within := func(at int) bool { return after < at && at <= end }
	return slices.ContainsFunc(of.sets, within) || slices.ContainsFunc(of.replaced, within)
}

// blocksIn are the blocks that a statement holds.
func blocksIn(stmt ir.Stmt) []*ir.Block {
	switch s := stmt.(type) {
	case *ir.BlockStmt:
		return s.Blocks
	case *ir.ScanStmt:
		return []*ir.Block{s.Block}
	case *ir.NotStmt:
		return []*ir.Block{s.Block}
	case *ir.WithStmt:
		return []*ir.Block{s.Block}
	default:
		return nil
	}
}

// setBy are the locals that a statement sets, or whose value it adds to.
func setBy(stmt ir.Stmt) []ir.Local {
	switch s := stmt.(type) {
	case *ir.DotStmt:
		return []ir.Local{s.Target}
	case *ir.CallStmt:
		return []ir.Local{s.Result}
	case *ir.CallDynamicStmt:
		return []ir.Local{s.Result}
	case *ir.ScanStmt:
		return []ir.Local{s.Key, s.Value}
	case *ir.AssignVarStmt:
		return []ir.Local{s.Target}
	case *ir.AssignVarOnceStmt:
		return []ir.Local{s.Target}
	case *ir.LenStmt:
		return []ir.Local{s.Target}
	case *ir.ObjectMergeStmt:
		return []ir.Local{s.Target}
	case *ir.ArrayAppendStmt:
		return []ir.Local{s.Array}
	case *ir.SetAddStmt:
		return []ir.Local{s.Set}
	case *ir.ObjectInsertStmt:
		return []ir.Local{s.Object}
	case *ir.ObjectInsertOnceStmt:
		return []ir.Local{s.Object}
	default:
		return madeBy(stmt)
	}
}

// madeBy is the local that a statement sets without reading anything.
func madeBy(stmt ir.Stmt) []ir.Local {
	switch s := stmt.(type) {
	case *ir.AssignIntStmt:
		return []ir.Local{s.Target}
	case *ir.MakeNumberIntStmt:
		return []ir.Local{s.Target}
	case *ir.MakeNumberRefStmt:
		return []ir.Local{s.Target}
	case *ir.MakeNullStmt:
		return []ir.Local{s.Target}
	case *ir.ResetLocalStmt:
		return []ir.Local{s.Target}
	case *ir.MakeArrayStmt:
		return []ir.Local{s.Target}
	case *ir.MakeObjectStmt:
		return []ir.Local{s.Target}
	case *ir.MakeSetStmt:
		return []ir.Local{s.Target}
	default:
		return nil
	}
}
