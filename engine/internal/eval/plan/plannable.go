package plan

import (
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// plannable refuses rules that OPA's plan is known to evaluate otherwise than its evaluator, with an error that wraps
// [ErrAsk]:
//
//   - A rule whose head leads through a constant that is no text, as r[1].x does: the evaluator has a place for it even
//     where no body holds, r[1] is {}, and the plan has none.
//   - A comprehension that stands alone in a body: the plan takes it for true without making it, and an error in it is lost.
//   - An expression in which one with replaces a function and another a document: the planner counts the two kinds apart
//     and replaces a part of the wrong document, as the input for data in "with upper as 1 with data.a as 2".
//   - A comprehension of which OPA's evaluator makes an index and that may fail: the evaluator makes it for all keys at
//     once, and meets errors that the plan, which makes it for one, is spared.
//   - A negated reference that chooses a rule, as not data.p[x] does: the plan has a block for each rule and one for the
//     data, and takes the end of the last for the value of all.
//   - A variable of an every that occurs beside it, as OPA's compiler makes it of a with whose value has the variable: it
//     is another one for the evaluator.
func plannable(compiler *ast.Compiler, rules map[*ast.Rule]bool) error {
	for rule := range rules {
		for _, term := range rule.Ref().GroundPrefix()[1:] {
			if _, text := term.Value.(ast.String); !text {
				return fmt.Errorf("%w: %s: the head of a rule leads through %v", ErrAsk, rule.Location, term)
			}
		}
		if why, at := unplannable(compiler, rule); why != "" {
			return fmt.Errorf("%w: %s: %s", ErrAsk, at, why)
		}
	}
	return nil
}

func unplannable(compiler *ast.Compiler, rule *ast.Rule) (why string, at *ast.Location) {
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		term, alone := e.Terms.(*ast.Term)
		switch {
		case alone && comprehends(term):
			why, at = "a comprehension stands alone in a body", e.Location
		case len(e.With) > 1 && slices.ContainsFunc(e.With, func(w *ast.With) bool { return replacesFunction(compiler, w) }):
			why, at = "a function is replaced beside something else", e.Location
		case e.Negated && dispatches(compiler, e):
			why, at = "a reference that is negated chooses a rule", e.Location
		}
		return why != ""
	})
	ast.WalkBodies(rule, func(b ast.Body) bool {
		if leaks(b) {
			why, at = "a variable of an every occurs beside it", b.Loc()
		}
		return why != ""
	})
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		if body := indexed(compiler, t); body != nil && (usesBefore(compiler, body, compiler.ComprehensionIndex(t).Keys) || mayFail(compiler, t)) {
			why, at = "an index of a comprehension may fail", t.Location
		}
		return why != ""
	})
	return why, at
}

// leaks reports whether a variable that an every binds occurs beside it in the body.
func leaks(body ast.Body) bool {
	for i, e := range body {
		every, ok := e.Terms.(*ast.Every)
		if !ok {
			continue
		}
		own := ast.NewVarSet()
		for _, t := range []*ast.Term{every.Key, every.Value} {
			if t != nil {
				own.Update(t.Vars())
			}
		}
		found := false
		for j, other := range body {
			ast.WalkVars(other, func(v ast.Var) bool {
				found = found || i != j && own.Contains(v)
				return found
			})
		}
		if found {
			return true
		}
	}
	return false
}

// dispatches reports whether an expression has a reference in which something computed chooses among rules or packages,
// not a part of what a rule makes.
func dispatches(compiler *ast.Compiler, e *ast.Expr) (found bool) {
	ast.WalkRefs(e, func(ref ast.Ref) bool {
		prefix := ref.GroundPrefix()
		if !ref.HasPrefix(ast.DefaultRootRef) || len(prefix) == len(ref) {
			return found
		}
		for i := 2; i <= len(prefix); i++ {
			if len(compiler.GetRulesExact(prefix[:i])) > 0 {
				return found // a part of what the rule makes is chosen
			}
		}
		found = found || len(compiler.GetRulesWithPrefix(prefix)) > 0
		return found
	})
	return found
}

// indexed returns the body of a comprehension of which OPA's evaluator makes an index; nil for other terms.
func indexed(compiler *ast.Compiler, t *ast.Term) ast.Body {
	if compiler.ComprehensionIndex(t) == nil {
		return nil
	}
	switch c := t.Value.(type) {
	case *ast.ArrayComprehension:
		return c.Body
	case *ast.SetComprehension:
		return c.Body
	case *ast.ObjectComprehension:
		return c.Body
	}
	return nil
}

// infallible are the builtins that have an answer for all operands.
var infallible = map[string]bool{
	ast.Equality.Name: true, ast.Equal.Name: true, ast.NotEqual.Name: true,
	ast.LessThan.Name: true, ast.LessThanEq.Name: true, ast.GreaterThan.Name: true, ast.GreaterThanEq.Name: true,
	ast.Member.Name: true, ast.MemberWithKey.Name: true,
	ast.IsNumber.Name: true, ast.IsString.Name: true, ast.IsBoolean.Name: true, ast.IsArray.Name: true,
	ast.IsSet.Name: true, ast.IsObject.Name: true, ast.IsNull.Name: true, ast.TypeNameBuiltin.Name: true,
}

// mayFail reports whether a comprehension calls a builtin that fails for some operands, or uses a rule, which may have two
// values. So may its own keys, if it is of an object.
func mayFail(compiler *ast.Compiler, t *ast.Term) (may bool) {
	_, may = t.Value.(*ast.ObjectComprehension)
	ast.WalkRefs(t, func(ref ast.Ref) bool {
		switch {
		case ref.HasPrefix(ast.DefaultRootRef):
			may = may || len(compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true})) > 0
		case ast.BuiltinMap[ref.String()] != nil:
			may = may || !infallible[ref.String()]
		}
		return may
	})
	return may
}

// usesBefore reports whether a body calls a builtin with one of the keys before something binds it.
func usesBefore(compiler *ast.Compiler, body ast.Body, keys []*ast.Term) bool {
	unbound := ast.NewVarSet()
	for _, key := range keys {
		if v, ok := key.Value.(ast.Var); ok {
			unbound.Add(v)
		}
	}
	safe := body.Vars(ast.VarVisitorParams{}).Diff(unbound)
	for _, expr := range body {
		safe.Update(ast.OutputVarsFromExpr(compiler, expr, safe))
		if (expr.IsCall() && !expr.IsEquality() || expr.Negated) && len(expr.Vars(ast.VarVisitorParams{}).Intersect(unbound).Diff(safe)) > 0 {
			return true
		}
	}
	return false
}

func replacesFunction(compiler *ast.Compiler, w *ast.With) bool {
	ref, ok := w.Target.Value.(ast.Ref)
	if !ok || ref.HasPrefix(ast.InputRootRef) {
		return false
	}
	if !ref.HasPrefix(ast.DefaultRootRef) {
		return true // a builtin
	}
	return slices.ContainsFunc(compiler.GetRulesExact(ref), func(r *ast.Rule) bool { return len(r.Head.Args) > 0 })
}

func comprehends(term *ast.Term) (found bool) {
	ast.WalkTerms(term, func(t *ast.Term) bool {
		found = found || ast.IsComprehension(t.Value)
		return found
	})
	return found
}

// hides refuses a document that OPA's evaluator makes without a part that the plan has: all data, where there are rules in
// data.system. The error wraps [ErrAsk].
func hides(compiler *ast.Compiler, ref ast.Ref) error {
	node := compiler.RuleTree.Find(ref)
	if node == nil {
		return nil
	}
	for name, child := range node.Children {
		if child.Hide {
			return fmt.Errorf("%w: OPA leaves the rules of %v out of %v", ErrAsk, name, ref)
		}
	}
	return nil
}
