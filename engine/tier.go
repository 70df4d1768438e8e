package engine

import (
	"context"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// tier is a way of finding the document of a plan. All tiers of a plan give the same values and fail
// alike; a later one has less to do. Safe for concurrent use.
type tier struct {
	never    bool     // undefined for every input; the rest is not needed then
	body     ast.Body // gives the document to planValue
	compiler ast.QueryCompiler
	rules    *ast.Compiler
	known    *knownRules // that depend on the data alone; nil: none

	evaluations sync.Pool // of *evaluation, between decisions
}

// newTier prepares the query for the document at ref.
func newTier(rules *ast.Compiler, ref ast.Ref) (*tier, error) {
	t := &tier{compiler: rules.QueryCompiler(), rules: rules}
	var err error
	t.body, err = t.compiler.Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(ref), ast.NewTerm(planValue))))
	return t, err
}

// withKnown is the tier once some rules' values are known.
func (t *tier) withKnown(known *knownRules) *tier {
	return &tier{body: t.body, compiler: t.compiler, rules: t.rules, known: known}
}

// newQuery is a query that looks at the data of a generation.
func (t *tier) newQuery(g *Generation) *topdown.Query {
	return topdown.NewQuery(t.body).
		WithQueryCompiler(t.compiler).
		WithCompiler(t.rules).
		WithStore(g.data).
		WithBaseCache(g.data).
		WithTransaction(transaction{}).
		WithMetrics(metrics.NoOp()).
		WithStrictBuiltinErrors(true)
}

// evaluation is what one decision by a tier needs. Used for one after the other, it saves each of them
// a tenth of what it allocates.
type evaluation struct {
	query *topdown.Query
	rules ruleCache
	value ast.Value
	take  func(topdown.QueryResult) error // the value
}

func (t *tier) newEvaluation(g *Generation) *evaluation {
	e := &evaluation{query: t.newQuery(g)}
	e.query.WithVirtualCache(&e.rules)
	e.take = func(found topdown.QueryResult) error {
		e.value = found[planValue].Value
		return nil
	}
	return e
}

// evaluate is nil where the document is undefined.
func (t *tier) evaluate(ctx context.Context, g *Generation, input ast.Value, limit *deadline) (ast.Value, error) {
	if t.never {
		return nil, nil
	}
	e, ok := t.evaluations.Get().(*evaluation)
	if !ok {
		e = t.newEvaluation(g)
	}
	e.rules.reset(t.known)
	var asked *ast.Term
	if input != nil {
		asked = ast.NewTerm(input)
	}
	err := e.query.WithInput(asked).WithCancel(limit).WithTime(limit.begun).Iter(ctx, e.take)
	value := e.value
	e.value = nil
	e.query.WithInput(nil).WithCancel(nil)
	t.evaluations.Put(e)
	return value, err
}
