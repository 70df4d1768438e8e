package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
)

// target is the name under which package rego hands plans out. Its registry is global, so the name is ours alone.
const target = "defenseclaw/programs"

var register = sync.OnceFunc(func() { rego.RegisterPlugin(target, planTaker{}) })

// planTaker is a target that evaluates nothing: it hands the plan back to who asked for it, by the context.
type planTaker struct{}

type takenKey struct{}

// IsTarget is [rego.TargetPlugin]'s.
func (planTaker) IsTarget(name string) bool { return name == target }

// PrepareForEval is [rego.TargetPlugin]'s.
func (planTaker) PrepareForEval(ctx context.Context, policy *ir.Policy, _ ...rego.PrepareOption) (rego.TargetPluginEval, error) {
	taken, ok := ctx.Value(takenKey{}).(**ir.Policy)
	if !ok {
		return nil, errors.New("only programs are made for this target")
	}
	*taken = policy
	return planTaker{}, nil
}

// Eval is [rego.TargetPluginEval]'s. It is never called.
func (planTaker) Eval(context.Context, *rego.EvalContext, ast.Value) (ast.Value, error) {
	return nil, errors.New("a plan is evaluated by its program")
}

// resultName is the variable of the query that is bound to the document.
const resultName = "value"

// plannable refuses what OPA's plan is known to answer otherwise than its evaluator, with an error that wraps [ErrAsk].
//
// One is a rule whose head leads through a constant that is no text, as r[1].x does: the evaluator has a place for it
// even where no body holds, r[1] is {}, and the plan has none. The other is a comprehension that stands alone in a
// body: the plan takes it for true without making it, and an error in it is lost. The third is an expression in which one
// with replaces a function and another a document: the planner counts the two kinds apart and replaces a part of the
// wrong document, as the input for data in "with upper as 1 with data.a as 2". The fourth is a comprehension of which OPA's
// evaluator makes an index, and which compares a key of the index before it is bound: the evaluator fails.
func plannable(compiler *ast.Compiler) (err error) {
	for _, module := range compiler.Modules {
		for _, rule := range module.Rules {
			for _, term := range rule.Ref().GroundPrefix()[1:] {
				if _, text := term.Value.(ast.String); !text {
					return fmt.Errorf("%w: %s: the head of a rule leads through %v", ErrAsk, rule.Location, term)
				}
			}
		}
		ast.WalkExprs(module, func(e *ast.Expr) bool {
			if term, alone := e.Terms.(*ast.Term); alone && comprehends(term) {
				err = fmt.Errorf("%w: %s: a comprehension stands alone in a body", ErrAsk, e.Location)
			}
			if len(e.With) > 1 && slices.ContainsFunc(e.With, func(w *ast.With) bool { return replacesFunction(compiler, w) }) {
				err = fmt.Errorf("%w: %s: a function is replaced beside something else", ErrAsk, e.Location)
			}
			return err != nil
		})
		ast.WalkTerms(module, func(t *ast.Term) bool {
			if body := indexed(compiler, t); body != nil && usesBefore(compiler, body, compiler.ComprehensionIndex(t).Keys) {
				err = fmt.Errorf("%w: %s: an index of a comprehension compares what is not bound", ErrAsk, t.Location)
			}
			return err != nil
		})
	}
	return err
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

// planOf has OPA plan the document at ref. The compiler is changed: it must be a copy for this call, with the
// modules that the document needs.
func planOf(ctx context.Context, compiler *ast.Compiler, store storage.Store, txn storage.Transaction, ref ast.Ref) (*ir.Policy, error) {
	register()
	var policy *ir.Policy
	query := ast.NewBody(ast.Equality.Expr(ast.NewTerm(ref), ast.VarTerm(resultName)))
	_, err := rego.New(
		rego.Target(target),
		rego.ParsedQuery(query),
		rego.Compiler(compiler),
		rego.Store(store),
		rego.Transaction(txn),
		rego.SetRegoVersion(ast.RegoV1),
	).PrepareForEval(context.WithValue(ctx, takenKey{}, &policy))
	if err == nil && policy == nil {
		err = errors.New("package rego gave no plan")
	}
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", ref, err)
	}
	return policy, nil
}
