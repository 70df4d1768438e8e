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
//   - A comprehension of which OPA's evaluator makes an index and that may fail: see indexes.go.
//   - A negated reference that chooses a rule, as not data.p[x] does: the plan has a block for each rule and one for the
//     data, and takes the end of the last for the value of all.
//   - A variable of an every that occurs beside it, as OPA's compiler makes it of a with whose value has the variable: it
//     is another one for the evaluator.
//
// strict says why the plan is right only where builtins are lenient; nil: in both modes.
func plannable(compiler *ast.Compiler, rules map[*ast.Rule]bool) (strict, err error) {
	f := newFailures(compiler, rules)
	for rule := range rules {
		for _, term := range rule.Ref().GroundPrefix()[1:] {
			if _, text := term.Value.(ast.String); !text {
				return nil, fmt.Errorf("%w: %s: the head of a rule leads through %v", ErrAsk, rule.Location, term)
			}
		}
		if why, at := unplannable(compiler, rule); why != "" {
			return nil, fmt.Errorf("%w: %s: %s", ErrAsk, at, why)
		}
		switch may, at := f.indexes(rule); may {
		case always:
			return nil, fmt.Errorf("%w: %s: an index of a comprehension may fail", ErrAsk, at)
		case ifStrict:
			strict = fmt.Errorf("%w: %s: an index of a comprehension may fail where builtins are strict", ErrAsk, at)
		case never:
		}
	}
	return strict, nil
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
