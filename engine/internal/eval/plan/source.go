package plan

import (
	"context"
	"errors"
	"fmt"
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
