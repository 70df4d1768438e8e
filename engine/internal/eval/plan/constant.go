package plan

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// markConstant marks the rules that depend on the data alone: they use the input for nothing but to hand it to others
// of their kind, and call no builtin whose answer differs from decision to decision. One evaluation serves for the
// generation. A rule below a with is given other data, and does not count as one. Functions with arguments are of
// their kind if they depend on the data and the arguments alone; what they give is not kept.
func markConstant(policy *ir.Policy, p *Program) {
	numbers := map[string]int{}
	for i, f := range policy.Funcs.Funcs {
		numbers[f.Name] = i
		p.funcs[i].constant = true
	}
	for again := true; again; {
		again = false
		for i, f := range policy.Funcs.Funcs {
			if fn := p.funcs[i]; fn.constant {
				u := inputUse{numbers: numbers, funcs: p.funcs}
				u.blocks(f.Blocks)
				fn.constant = !u.varies
				again = again || u.varies
			}
		}
	}
}

// inputUse looks for what makes a function depend on more than the data and its arguments.
type inputUse struct {
	numbers map[string]int
	funcs   []*function
	varies  bool
}

func (u *inputUse) blocks(bs []*ir.Block) {
	for _, b := range bs {
		for _, stmt := range b.Stmts {
			u.statement(stmt)
		}
	}
}

func (u *inputUse) statement(stmt ir.Stmt) {
	switch s := stmt.(type) {
	case *ir.BlockStmt:
		u.blocks(s.Blocks)
	case *ir.NotStmt:
		u.blocks([]*ir.Block{s.Block})
	case *ir.ScanStmt:
		u.varies = u.varies || s.Source == ir.Input
		u.blocks([]*ir.Block{s.Block})
	case *ir.CallStmt:
		u.call(s)
	case *ir.WithStmt, *ir.CallDynamicStmt: // what is called then is not followed
		u.varies = true
	case *ir.DotStmt:
		u.operand(s.Source.Value)
		u.operand(s.Key.Value)
	case *ir.AssignVarStmt:
		u.operand(s.Source.Value)
	case *ir.IsDefinedStmt:
		u.operand(s.Source)
	case *ir.IsUndefinedStmt:
		u.operand(s.Source)
	case *ir.ResetLocalStmt, *ir.BreakStmt, *ir.NopStmt, *ir.MakeArrayStmt, *ir.MakeObjectStmt, *ir.MakeSetStmt, *ir.MakeNullStmt,
		*ir.MakeNumberIntStmt, *ir.MakeNumberRefStmt, *ir.AssignIntStmt:
	default:
		u.operands(stmt)
	}
}

func (u *inputUse) operand(v ir.Val) {
	if l, ok := v.(ir.Local); ok && l == ir.Input {
		u.varies = true
	}
}

func (u *inputUse) call(s *ir.CallStmt) {
	i, ok := u.numbers[s.Func]
	args := s.Args
	switch {
	case !ok:
		decl := ast.BuiltinMap[s.Func]
		u.varies = u.varies || decl == nil || decl.Nondeterministic || readsClock(s.Func)
	case !u.funcs[i].constant:
		u.varies = true
	default:
		args = args[inputAndData:] // input and data as they are
	}
	for _, a := range args {
		u.operand(a.Value)
	}
}

// readsClock reports whether a builtin looks at the time of the decision without saying so in its declaration.
func readsClock(name string) bool {
	return strings.HasPrefix(name, "io.jwt.") || strings.HasPrefix(name, "crypto.x509.") || strings.HasPrefix(name, "time.") ||
		strings.HasPrefix(name, "providers.")
}

func (u *inputUse) operands(stmt ir.Stmt) {
	switch s := stmt.(type) {
	case *ir.IsArrayStmt:
		u.operand(s.Source.Value)
	case *ir.IsObjectStmt:
		u.operand(s.Source.Value)
	case *ir.IsSetStmt:
		u.operand(s.Source.Value)
	default:
		used, known := usedWhole(stmt)
		u.varies = u.varies || !known
		for _, v := range used {
			u.operand(v)
		}
	}
}
