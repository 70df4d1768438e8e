package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// mostPlans bounds how many prepared queries a generation keeps: paths come from callers, and a
// hostile one can think of many. Paths beyond it are prepared for each decision anew.
const mostPlans = 4096

// plans are the prepared queries of one generation, made when first asked for.
type plans struct {
	byPath sync.Map // string → *rego.PreparedEvalQuery
	count  atomic.Int64
	mu     *sync.Mutex // one preparation at a time: a burst after a reload prepares each path once
}

func (g *Generation) plan(ctx context.Context, path Path) (*rego.PreparedEvalQuery, error) {
	key := path.key()
	if p, ok := g.plans.byPath.Load(key); ok {
		return p.(*rego.PreparedEvalQuery), nil //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	g.plans.mu.Lock()
	defer g.plans.mu.Unlock()
	if p, ok := g.plans.byPath.Load(key); ok {
		return p.(*rego.PreparedEvalQuery), nil //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	if err := g.policy.checkPath(path.ref()); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", path, err)
	}
	prepared, err := rego.New(
		rego.ParsedQuery(ast.NewBody(ast.NewExpr(ast.NewTerm(path.ref())))),
		rego.Compiler(g.policy.compiler),
		rego.Store(g.data),
		rego.Transaction(transaction{}),
		rego.StrictBuiltinErrors(true),
		rego.SetRegoVersion(ast.RegoV1),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", path, err)
	}
	if g.plans.count.Load() < mostPlans {
		g.plans.byPath.Store(key, &prepared)
		g.plans.count.Add(1)
	}
	return &prepared, nil
}
