package plan

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ir"
)

// facts are where the locals of one function are read and set. Statements are counted in the order in which they are
// written, those of a block after the statement that holds it.
//
// OPA's planner begins each body of a rule with the same locals. One that each body sets before it reads it stands
// for as many locals; the others have the same facts in all bodies.
type facts struct {
	bodies []map[ir.Local]*localFacts // by block of the function
	body   int                        // the one that is asked about
	at     map[ir.Stmt]int
	end    map[*ir.Block]int // the number of the last statement in a block, or in the blocks in it
	count  int
	known  bool // every statement is of a known kind
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
	f := &facts{at: map[ir.Stmt]int{}, end: map[*ir.Block]int{}, known: true}
	for i, b := range bs {
		f.bodies, f.body = append(f.bodies, map[ir.Local]*localFacts{}), i
		f.block(b)
	}
	shared := map[ir.Local]*localFacts{}
	for _, body := range f.bodies {
		for l, of := range body {
			if of.first > 0 && (len(of.sets) == 0 || of.first <= of.sets[0] || of.last > f.end[of.in]) {
				shared[l] = &localFacts{}
			}
		}
	}
	for _, body := range f.bodies {
		for l, of := range body {
			if all := shared[l]; all != nil {
				all.add(of)
				body[l] = all
			}
		}
	}
	return f
}

// add adds what a later body does with a local.
func (of *localFacts) add(later *localFacts) {
	if of.first == 0 {
		of.first = later.first
	}
	if of.used == 0 {
		of.used = later.used
	}
	of.last = max(of.last, later.last)
	of.sets, of.replaced = append(of.sets, later.sets...), append(of.replaced, later.replaced...)
	of.bare = of.bare || later.bare
}

func (f *facts) local(l ir.Local) *localFacts {
	body := f.bodies[f.body]
	of := body[l]
	if of == nil {
		of = &localFacts{}
		body[l] = of
	}
	return of
}

func (f *facts) block(b *ir.Block) {
	for _, stmt := range b.Stmts {
		f.count++
		at := f.count
		f.at[stmt] = at
		read := func(l ir.Local, bare bool) {
			of := f.local(l)
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
			of := f.local(l)
			if of.sets = append(of.sets, at); of.in == nil {
				of.in = b
			}
		}
		if s, ok := stmt.(*ir.WithStmt); ok {
			of := f.local(s.Local)
			of.replaced = append(of.replaced, at)
		}
		for _, inner := range blocksIn(stmt) {
			f.block(inner)
		}
	}
	f.end[b] = f.count
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
