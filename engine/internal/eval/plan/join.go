package plan

import (
	"slices"

	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/util"
)

// A join is a loop in which all that comes before some equality can neither fail nor have an effect that is seen
// outside of the iteration, and in which one side of the equality is a part of the element, the other the same for
// all elements: as in
//
//	some user in data.users
//	user.name == input.user
//
// Only the elements that an index finds are looked at. Their iterations run as a whole, with the test: so the index
// has to find no more than each element for which all equalities hold, and the order of iterations stays.
//
// What OPA's evaluator evaluates in the iterations that are left out cannot fail either. Calls whose arguments are
// the same for all elements can; they are made once before the loop, so that their errors are not lost.
type join struct {
	by     *value.Join
	sought []operand
	before block // what is the same for all elements
	seen   int   // number of the join, see machine.joined
}

// joinFinder goes through the first statements of a loop's block.
type joinFinder struct {
	c       *compiler
	at, end int                    // of the loop, and of its block
	parts   map[ir.Local]value.Way // what is a part of the element
	varies  map[ir.Local]bool      // what is set in the block, and may be another for each element
	same    map[ir.Local]bool      // what is set in the block, and is the same for all elements
	before  []ir.Stmt              // that set it
	needed  int                    // of before, for the equalities that were found
	ways    []value.Way
	sought  []ir.Operand
}

// maxJoinedBy bounds the equalities of one join.
const maxJoinedBy = 4

// joinOf returns nil for a loop that looks at all elements.
func (c *compiler) joinOf(s *ir.ScanStmt) (*join, error) {
	f := joinFinder{
		c: c, at: c.facts.at[s], end: c.facts.end[s.Block], varies: map[ir.Local]bool{}, same: map[ir.Local]bool{},
		parts: map[ir.Local]value.Way{s.Key: {FromKey: true}, s.Value: {}},
	}
	if !c.facts.known || !f.unseen(s, f.at) {
		return nil, nil
	}
	for _, stmt := range s.Block.Stmts {
		if len(f.ways) == maxJoinedBy || !f.statement(stmt) {
			break
		}
	}
	if len(f.ways) == 0 {
		return nil, nil
	}
	j := &join{by: value.NewJoin(f.ways), seen: c.program.joins}
	c.program.joins++
	for _, o := range f.sought {
		j.sought = append(j.sought, c.operand(o))
	}
	var err error
	j.before, err = c.block(&ir.Block{Stmts: f.before[:f.needed]})
	return j, err
}

// unseen reports whether nothing outside of the block, and nothing that comes before a statement, reads what it sets:
// an iteration that is left out would have set it.
func (f *joinFinder) unseen(stmt ir.Stmt, at int) bool {
	for _, l := range setBy(stmt) {
		if !f.c.facts.readOnlyIn(l, at, f.end) {
			return false
		}
	}
	return true
}

// statement reports whether the search goes on after a statement.
func (f *joinFinder) statement(stmt ir.Stmt) bool {
	if !f.unseen(stmt, f.c.facts.at[stmt]) {
		return false
	}
	switch s := stmt.(type) {
	case *ir.DotStmt:
		if way, ok := f.partAt(s); ok {
			delete(f.varies, s.Target)
			f.parts[s.Target] = way
			return true
		}
	case *ir.EqualStmt:
		f.equality(s)
	case *ir.CallStmt:
		// After an equality it may never be made: what it costs, and its errors, would be new.
		if len(f.ways) > 0 || !f.sameForAll(stmt) {
			return false
		}
	case *ir.AssignVarStmt, *ir.AssignIntStmt, *ir.MakeNumberIntStmt, *ir.MakeNumberRefStmt, *ir.MakeNullStmt,
		*ir.ResetLocalStmt, *ir.NotEqualStmt, *ir.IsArrayStmt, *ir.IsObjectStmt, *ir.IsSetStmt, *ir.IsDefinedStmt,
		*ir.IsUndefinedStmt, *ir.LenStmt, *ir.NopStmt:
	default:
		return false
	}
	if f.sameForAll(stmt) {
		f.before = append(f.before, stmt)
		for _, l := range setBy(stmt) {
			f.same[l] = true
		}
		return true
	}
	for _, l := range setBy(stmt) {
		delete(f.parts, l)
		f.varies[l] = true
	}
	return true
}

// partAt is the way to what a statement looks up in a part of the element.
func (f *joinFinder) partAt(s *ir.DotStmt) (way value.Way, ok bool) {
	source, isLocal := s.Source.Value.(ir.Local)
	name, isText := s.Key.Value.(ir.StringIndex)
	if way, ok = f.parts[source]; !isLocal || !isText || !ok {
		return way, false
	}
	text := f.c.texts[name]
	if _, isIndex := util.Atoi(text.Text()); isIndex { // OPA may find an element by it, see namedRules and value.NamesMember
		return way, false
	}
	return value.Way{FromKey: way.FromKey, Names: append(slices.Clone(way.Names), text)}, true
}

// equality notes a test of a part of the element against what is the same for all.
func (f *joinFinder) equality(s *ir.EqualStmt) {
	for _, pair := range [][2]ir.Operand{{s.A, s.B}, {s.B, s.A}} {
		l, isLocal := pair[0].Value.(ir.Local)
		if way, ok := f.parts[l]; isLocal && ok && f.isSame(pair[1]) {
			f.ways, f.sought, f.needed = append(f.ways, way), append(f.sought, pair[1]), len(f.before)
			return
		}
	}
}

// sameForAll reports whether a statement does the same in each iteration, and sets no local that another one sets
// too.
func (f *joinFinder) sameForAll(stmt ir.Stmt) bool {
	same := true
	withReads(stmt, func(o ir.Operand) ir.Operand {
		same = same && f.isSame(o)
		return o
	}, func(l ir.Local) ir.Local {
		same = same && f.isSame(ir.Operand{Value: l})
		return l
	})
	for _, l := range setBy(stmt) {
		same = same && len(f.c.facts.local(l).sets) == 1
	}
	return same
}

func (f *joinFinder) isSame(o ir.Operand) bool {
	l, ok := o.Value.(ir.Local)
	if !ok || f.same[l] {
		return true
	}
	_, part := f.parts[l]
	inBlock := func(at int) bool { return f.at < at && at <= f.end }
	return !part && !f.varies[l] && !slices.ContainsFunc(f.c.facts.local(l).sets, inBlock)
}

// matches finds the elements that a loop has to look at, by the first of them. end is another number than next if
// there is none to look at; ok is false if it has to look at all.
func (j *join) matches(m *machine, l []*value.Node, from *value.Node) (found *value.Matches, first, end int, ok bool) {
	if from.Owned() && !m.joined(j, from) {
		return nil, 0, next, false
	}
	if end := j.before.run(m, l); end != next {
		return nil, 0, end, true
	}
	hash := uint64(0)
	for _, o := range j.sought {
		x := o.of(l)
		switch {
		case x == nil: // nothing is equal to what is undefined
			return nil, 0, ended, true
		case x.Kind() >= value.Array:
			return nil, 0, next, false
		}
		hash = value.JoinHash(hash, x)
	}
	if found = from.Matches(j.by, m.tick); found == nil {
		if m.err != nil {
			return nil, 0, failed, true
		}
		return nil, 0, next, false
	}
	return found, found.First(hash), next, true
}

// manyToJoin is how many elements a collection has that a decision makes an index of. It is thrown away with the
// decision.
const manyToJoin = 64

// joined reports whether a loop comes back to a collection that this decision made. An index is worth making only
// then.
func (m *machine) joined(j *join, from *value.Node) bool {
	if m.joins[j.seen] == from {
		return from.Len() >= manyToJoin
	}
	m.joins[j.seen] = from
	return false
}
