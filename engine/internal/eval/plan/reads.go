package plan

import "github.com/open-policy-agent/opa/v1/ir"

// withReads is a statement that reads other operands, or the same one: value is called for each operand, and bare for
// each local that can be no constant. The blocks that it holds are as before. known is false for a statement of
// another kind.
func withReads(stmt ir.Stmt, value func(ir.Operand) ir.Operand, bare func(ir.Local) ir.Local) (_ ir.Stmt, known bool) {
	if changed, known := withTestReads(stmt, value, bare); known {
		return changed, true
	}
	switch s := stmt.(type) {
	case *ir.DotStmt:
		c := *s
		c.Source, c.Key = value(s.Source), value(s.Key)
		return &c, true
	case *ir.CallStmt:
		c := *s
		c.Args = make([]ir.Operand, len(s.Args))
		for i, a := range s.Args {
			c.Args[i] = value(a)
		}
		return &c, true
	case *ir.CallDynamicStmt:
		c := *s
		c.Args, c.Path = make([]ir.Local, len(s.Args)), make([]ir.Operand, len(s.Path))
		for i, a := range s.Args {
			c.Args[i] = bare(a)
		}
		for i, p := range s.Path {
			c.Path[i] = value(p)
		}
		return &c, true
	case *ir.ScanStmt:
		c := *s
		c.Source = bare(s.Source)
		return &c, true
	case *ir.WithStmt:
		c := *s
		bare(s.Local) // a part of it is replaced in a copy
		c.Value = value(s.Value)
		return &c, true
	case *ir.AssignVarStmt:
		c := *s
		c.Source = value(s.Source)
		return &c, true
	case *ir.AssignVarOnceStmt:
		bare(s.Target) // a value from before has to be the same
		// Ends of rules are found by address: what reads a constant stays as it is.
		if source := value(s.Source); source != s.Source {
			c := *s
			c.Source = source
			return &c, true
		}
		return s, true
	case *ir.BlockStmt, *ir.NotStmt, *ir.BreakStmt, *ir.NopStmt:
		return stmt, true
	}
	return withAdditions(stmt, value, bare)
}

// withTestReads is withReads for what compares, and for what returns.
func withTestReads(stmt ir.Stmt, value func(ir.Operand) ir.Operand, bare func(ir.Local) ir.Local) (_ ir.Stmt, known bool) {
	switch s := stmt.(type) {
	case *ir.EqualStmt:
		c := *s
		c.A, c.B = value(s.A), value(s.B)
		return &c, true
	case *ir.NotEqualStmt:
		c := *s
		c.A, c.B = value(s.A), value(s.B)
		return &c, true
	case *ir.IsArrayStmt:
		c := *s
		c.Source = value(s.Source)
		return &c, true
	case *ir.IsObjectStmt:
		c := *s
		c.Source = value(s.Source)
		return &c, true
	case *ir.IsSetStmt:
		c := *s
		c.Source = value(s.Source)
		return &c, true
	case *ir.IsDefinedStmt:
		c := *s
		c.Source = bare(s.Source)
		return &c, true
	case *ir.IsUndefinedStmt:
		c := *s
		c.Source = bare(s.Source)
		return &c, true
	case *ir.ReturnLocalStmt:
		c := *s
		c.Source = bare(s.Source)
		return &c, true
	case *ir.ResultSetAddStmt:
		c := *s
		c.Value = bare(s.Value)
		return &c, true
	default:
		return nil, false
	}
}

// withAdditions is withReads for what makes collections and adds to them. What is added to is read as well, and stays
// itself.
func withAdditions(stmt ir.Stmt, value func(ir.Operand) ir.Operand, bare func(ir.Local) ir.Local) (_ ir.Stmt, known bool) {
	switch s := stmt.(type) {
	case *ir.LenStmt:
		c := *s
		c.Source = value(s.Source)
		return &c, true
	case *ir.ArrayAppendStmt:
		c := *s
		c.Value, c.Array = value(s.Value), bare(s.Array)
		return &c, true
	case *ir.SetAddStmt:
		c := *s
		c.Value, c.Set = value(s.Value), bare(s.Set)
		return &c, true
	case *ir.ObjectInsertStmt:
		c := *s
		c.Key, c.Value, c.Object = value(s.Key), value(s.Value), bare(s.Object)
		return &c, true
	case *ir.ObjectInsertOnceStmt:
		c := *s
		c.Key, c.Value, c.Object = value(s.Key), value(s.Value), bare(s.Object)
		return &c, true
	case *ir.ObjectMergeStmt:
		c := *s
		c.A, c.B = bare(s.A), bare(s.B)
		return &c, true
	default:
		return stmt, len(madeBy(stmt)) > 0
	}
}
