package engine

import (
	"context"
	"errors"
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
	query, err := ast.ParseBody(path.String()) // parsed, it has the locations that traces and errors name
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrPath, []string(path))
	}
	if err := g.policy.checkPath(path.ref()); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", path, locate(err, query))
	}
	prepared, err := rego.New(
		rego.ParsedQuery(query),
		rego.Compiler(g.policy.compiler),
		rego.Store(g.data),
		rego.Transaction(transaction{}),
		rego.StrictBuiltinErrors(true),
		rego.StackTraces(true),
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

// locate puts the errors of a check that knew no text where the query is.
func locate(err error, query ast.Body) error {
	var errs ast.Errors
	if errors.As(err, &errs) {
		for _, e := range errs {
			if e.Location == nil {
				e.Location = query.Loc()
			}
		}
	}
	return err
}
