package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	byPath sync.Map             // string → *plan
	recent atomic.Pointer[plan] // that was asked for last: most decisions are by the path of the one before
	count  atomic.Int64
	mu     *sync.Mutex // one preparation at a time: a burst after a reload prepares each path once
}

// plan is the document at one path, ready to be evaluated.
type plan struct {
	path Path
	tier atomic.Pointer[tier] // that decides: the first one, or the second once there is one

	share chan struct{} // of the places that decisions take; nil where nothing bounds them
	asked atomic.Uint64

	// watched is for those who want to see how an evaluation comes about: it has the locations that
	// traces and errors name.
	watched func() (*rego.PreparedEvalQuery, error)
}

const planValue = ast.Var("value")

func (g *Generation) plan(path Path) (*plan, error) {
	if p := g.plans.recent.Load(); p != nil && slices.Equal(p.path, path) {
		return p, nil
	}
	key := path.key()
	if found, ok := g.plans.byPath.Load(key); ok {
		p := found.(*plan) //nolint:errcheck,forcetypeassert // nothing else is stored
		g.plans.recent.Store(p)
		return p, nil
	}
	g.plans.mu.Lock()
	defer g.plans.mu.Unlock()
	if p, ok := g.plans.byPath.Load(key); ok {
		return p.(*plan), nil //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	p, err := g.newPlan(path)
	if err != nil {
		return nil, err
	}
	if g.plans.count.Load() < mostPlans {
		g.plans.byPath.Store(key, p)
		g.plans.count.Add(1)
	}
	return p, nil
}

func (g *Generation) newPlan(path Path) (*plan, error) {
	query, err := ast.ParseBody(path.String())
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrPath, []string(path))
	}
	ref := path.ref()
	if err := g.policy.checkPath(ref); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", path, locate(err, query))
	}
	p := &plan{path: path, share: g.limiter.share()}
	p.watched = sync.OnceValues(func() (*rego.PreparedEvalQuery, error) { return g.prepareWatched(path, query) })
	first, err := newTier(g.policy.compiler, ref)
	if err != nil {
		if _, told := p.watched(); told != nil { // in the words for the query alone
			err = told
		}
		return nil, err
	}
	p.tier.Store(first)
	return p, nil
}

func (g *Generation) prepareWatched(path Path, query ast.Body) (*rego.PreparedEvalQuery, error) {
	prepared, err := rego.New(
		rego.ParsedQuery(query),
		rego.Compiler(g.policy.compiler),
		rego.Store(g.data),
		rego.Transaction(transaction{}),
		rego.StrictBuiltinErrors(true),
		rego.StackTraces(true),
		rego.SetRegoVersion(ast.RegoV1),
	).PrepareForEval(context.Background())
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", path, err)
	}
	return &prepared, nil
}

// partialAfter is how many decisions by one path make it worth a second tier.
const partialAfter = 500

// count tells the engine of a path that is asked for often.
func (g *Generation) count(p *plan) {
	if p.asked.Add(1) == partialAfter && g.often != nil {
		g.often(g, p.path)
	}
}

// watch evaluates with OPA's own preparation, which leaves its traces.
func (p *plan) watch(ctx context.Context, input ast.Value, options ...rego.EvalOption) (ast.Value, error) {
	watched, err := p.watched()
	if err != nil {
		return nil, err
	}
	var value ast.Value
	options = append(options, rego.EvalTransaction(transaction{}), rego.EvalGenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) {
		value = t.Value
		return nil, nil //nolint:nilnil // the value is what is wanted
	}))
	if input != nil {
		options = append(options, rego.EvalParsedInput(input))
	}
	_, err = watched.Eval(ctx, options...)
	return value, err
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
