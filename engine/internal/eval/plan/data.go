package plan

import (
	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ir"
)

// maxPathsOfLocal bounds what is found out about one local; above it, all of the data is frozen.
const maxPathsOfLocal = 64

// namedData finds the parts of the data that a plan can look at. A local is data, or a part of it, if some statement
// can have made it so; the order of statements does not count. A part that is looked up by a constant name is
// followed; whatever else is done with one needs all of it.
func namedData(policy *ir.Policy) *value.Named {
	root := &value.Named{}
	for _, f := range policy.Funcs.Funcs {
		newDataUse(policy, root).all(f.Blocks)
	}
	for _, p := range policy.Plans.Plans {
		newDataUse(policy, root).all(p.Blocks)
	}
	return root
}

// dataUse is what is known of one function's locals.
type dataUse struct {
	policy *ir.Policy
	root   *value.Named
	places map[ir.Local]map[*value.Named]bool
	again  bool
}

func newDataUse(policy *ir.Policy, root *value.Named) *dataUse {
	return &dataUse{policy: policy, root: root, places: map[ir.Local]map[*value.Named]bool{ir.Data: {root: true}}}
}

func (u *dataUse) all(bs []*ir.Block) {
	// A local that is looked up in itself, as x := x.y in OPA's plan, would have ever more places.
	for u.again = true; u.again && !u.root.All; {
		u.again = false
		u.blocks(bs)
	}
}

func (u *dataUse) blocks(bs []*ir.Block) {
	for _, b := range bs {
		for _, s := range b.Stmts {
			u.statement(s)
		}
	}
}

// may notes that a local may hold what stands at a place.
func (u *dataUse) may(l ir.Local, at *value.Named) {
	of := u.places[l]
	if of == nil {
		of = map[*value.Named]bool{}
		u.places[l] = of
	}
	switch {
	case of[at]:
	case len(of) >= maxPathsOfLocal:
		u.root.All = true
	default:
		of[at] = true
		u.again = true
	}
}

// whole notes that all of what an operand may hold is needed.
func (u *dataUse) whole(v ir.Val) {
	if l, ok := v.(ir.Local); ok {
		for at := range u.places[l] {
			at.All = true
		}
	}
}

func (u *dataUse) alias(v ir.Val, target ir.Local) {
	if l, ok := v.(ir.Local); ok {
		for at := range u.places[l] {
			u.may(target, at)
		}
	}
}

// restored is for what becomes the document data: itself, at the end of a with, or any other value, which functions
// that are called take for the document.
func (u *dataUse) restored(v ir.Val) {
	if l, ok := v.(ir.Local); ok {
		for at := range u.places[l] {
			if at != u.root {
				at.All = true
			}
		}
	}
}

func (u *dataUse) statement(stmt ir.Stmt) {
	switch s := stmt.(type) {
	case *ir.BlockStmt:
		u.blocks(s.Blocks)
	case *ir.NotStmt:
		u.blocks([]*ir.Block{s.Block})
	case *ir.ScanStmt:
		u.whole(s.Source)
		u.blocks([]*ir.Block{s.Block})
	case *ir.DotStmt:
		u.dot(s)
	case *ir.AssignVarStmt:
		u.alias(s.Source.Value, s.Target)
	case *ir.WithStmt:
		if len(s.Path) == 0 && s.Local != ir.Data {
			u.alias(s.Value.Value, s.Local)
		} else if len(s.Path) == 0 {
			u.restored(s.Value.Value)
		} else {
			u.whole(s.Value.Value)
		}
		u.blocks([]*ir.Block{s.Block})
	case *ir.CallStmt:
		for i, a := range s.Args {
			// A function's own data is its second parameter; that of a builtin is a value as any other.
			if l, ok := a.Value.(ir.Local); i == 1 && ok && l == ir.Data && u.calls(s.Func) {
				continue
			}
			u.whole(a.Value)
		}
	case *ir.CallDynamicStmt:
		for _, a := range s.Args {
			if a != ir.Data {
				u.whole(a)
			}
		}
	case *ir.IsDefinedStmt, *ir.IsUndefinedStmt, *ir.ResetLocalStmt, *ir.BreakStmt, *ir.NopStmt,
		*ir.MakeArrayStmt, *ir.MakeObjectStmt, *ir.MakeSetStmt, *ir.MakeNullStmt, *ir.MakeNumberIntStmt, *ir.MakeNumberRefStmt,
		*ir.AssignIntStmt, *ir.IsArrayStmt, *ir.IsObjectStmt, *ir.IsSetStmt:
	default:
		u.values(stmt)
	}
}

func (u *dataUse) calls(name string) bool {
	for _, f := range u.policy.Funcs.Funcs {
		if f.Name == name {
			return true
		}
	}
	return false
}

// values are statements that use their operands as a whole.
func (u *dataUse) values(stmt ir.Stmt) {
	if s, ok := stmt.(*ir.ResultSetAddStmt); ok {
		u.whole(s.Value)
		return
	}
	used, known := usedWhole(stmt)
	if !known { // anything may be done with the data
		u.root.All = true
	}
	for _, v := range used {
		u.whole(v)
	}
}

// usedWhole are the operands of a statement that compares, keeps or returns what they hold. known is false for a
// statement of another kind.
func usedWhole(stmt ir.Stmt) (used []ir.Val, known bool) {
	switch s := stmt.(type) {
	case *ir.EqualStmt:
		return []ir.Val{s.A.Value, s.B.Value}, true
	case *ir.NotEqualStmt:
		return []ir.Val{s.A.Value, s.B.Value}, true
	case *ir.AssignVarOnceStmt:
		return []ir.Val{s.Source.Value}, true
	case *ir.ArrayAppendStmt:
		return []ir.Val{s.Value.Value}, true
	case *ir.SetAddStmt:
		return []ir.Val{s.Value.Value}, true
	case *ir.ObjectInsertStmt:
		return []ir.Val{s.Key.Value, s.Value.Value}, true
	case *ir.ObjectInsertOnceStmt:
		return []ir.Val{s.Key.Value, s.Value.Value}, true
	case *ir.ObjectMergeStmt:
		return []ir.Val{s.A, s.B}, true
	case *ir.LenStmt:
		return []ir.Val{s.Source.Value}, true
	case *ir.ReturnLocalStmt:
		return []ir.Val{s.Source}, true
	default:
		return nil, false
	}
}

func (u *dataUse) dot(s *ir.DotStmt) {
	u.whole(s.Key.Value)
	source, ok := s.Source.Value.(ir.Local)
	if !ok {
		return
	}
	name, constant := s.Key.Value.(ir.StringIndex)
	for at := range u.places[source] {
		if !constant {
			at.All = true
			continue
		}
		u.may(s.Target, at.Member(u.policy.Static.Strings[name].Value))
	}
}
