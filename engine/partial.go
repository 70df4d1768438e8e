package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/copypropagation"
)

// The second tier of a plan is bounded: by how long making it may take, and by how many rules it may be.
const (
	partialTimeout    = 500 * time.Millisecond
	mostPartialRules  = 20_000
	partialNamespace  = "partially evaluated" // no file can name a package so
	partialModuleName = "partially-evaluated-%d.rego"
)

// errNotForeseen is wrapped when a plan has no second tier.
var errNotForeseen = errors.New("not partially evaluated")

// partialPlan is the second tier of a plan: what is left of the query once the data is known and the
// input is not. It gives the same values and fails where the plan fails, with less work.
type partialPlan struct {
	never    bool // undefined for every input
	body     ast.Body
	compiler *ast.Compiler // of what is left of the rules
	query    ast.QueryCompiler
}

// evaluatePartially makes the second tier of the plan for a path and lets decisions use it. It computes
// for half a second at most, and shares nothing with the decisions meanwhile. An error wraps
// [errNotForeseen]; then decisions are made as before.
func (g *Generation) evaluatePartially(ctx context.Context, path Path) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = crashed("partially evaluate "+path.String(), v)
		}
	}()
	plan, err := g.plan(path)
	if err != nil {
		return err
	}
	if why := g.policy.whyNotForeseen(path.ref()); why != "" {
		return fmt.Errorf("%w: %s", errNotForeseen, why)
	}
	ctx, cancel := context.WithTimeout(ctx, partialTimeout)
	defer cancel()
	limit := g.plans.begin(ctx, partialTimeout)
	defer g.plans.end(limit)
	left, support, err := topdown.NewQuery(plan.body).
		WithQueryCompiler(plan.compiler).
		WithCompiler(g.policy.compiler).
		WithStore(g.data).
		WithBaseCache(g.data).
		WithTransaction(transaction{}).
		WithMetrics(metrics.NoOp()).
		WithStrictBuiltinErrors(true).
		WithCancel(limit).
		WithUnknowns([]*ast.Term{ast.NewTerm(ast.InputRootRef)}).
		WithPartialNamespace(partialNamespace).
		WithShallowInlining(true). // rules stay rules, so that what conflicts still does
		PartialRun(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotForeseen, err)
	}
	partial, err := g.policy.compilePartial(ctx, left, support)
	if err != nil {
		return err
	}
	plan.partial.Store(partial)
	return nil
}

// compilePartial compiles what a partial evaluation left, by itself.
func (p *policy) compilePartial(ctx context.Context, left []ast.Body, support []*ast.Module) (*partialPlan, error) {
	switch len(left) {
	case 0:
		return &partialPlan{never: true}, nil
	case 1:
	default:
		return nil, fmt.Errorf("%w: %d queries are left", errNotForeseen, len(left))
	}
	rules, modules := 0, make(map[string]*ast.Module, len(support))
	for i, module := range support {
		if rules += len(module.Rules); rules > mostPartialRules {
			return nil, fmt.Errorf("%w: more than %d rules are left", errNotForeseen, mostPartialRules)
		}
		if err := p.onlyData(module); err != nil {
			return nil, err
		}
		for _, rule := range module.Rules {
			p.propagate(rule)
		}
		modules[fmt.Sprintf(partialModuleName, i)] = module
	}
	if err := p.onlyData(left[0]); err != nil {
		return nil, err
	}
	compiler := newCompiler()
	compiler.Compile(modules)
	if compiler.Failed() {
		return nil, fmt.Errorf("%w: %w", errNotForeseen, compiler.Errors)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotForeseen, err)
	}
	partial := &partialPlan{compiler: sealed(compiler)}
	partial.query = partial.compiler.QueryCompiler()
	var err error
	if partial.body, err = partial.query.Compile(left[0]); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotForeseen, err)
	}
	return partial, nil
}

// onlyData sees to it that what is left refers to data and to itself, and to no rule of the policy,
// which its compiler does not know.
func (p *policy) onlyData(left any) (err error) {
	own := ast.DefaultRootRef.Append(ast.StringTerm(partialNamespace))
	ast.WalkRefs(left, func(ref ast.Ref) bool {
		if ref.HasPrefix(ast.DefaultRootRef) && !ref.HasPrefix(own) && len(p.compiler.GetRulesDynamic(ref)) > 0 {
			err = fmt.Errorf("%w: %s is left", errNotForeseen, ref)
		}
		return err != nil
	})
	return err
}

// propagate puts the references in place of the variables that only stand for them: the index of rules
// looks for those.
func (p *policy) propagate(rule *ast.Rule) {
	if !rule.Default {
		rule.Body = copypropagation.New(rule.Head.Vars()).WithEnsureNonEmptyBody(true).WithCompiler(p.compiler).Apply(rule.Body)
	}
}

// often is a path that a generation is asked for often.
type often struct {
	generation *Generation
	path       Path
}

// mostOften is how many of them may wait. One that finds no place stays with the first tier.
const mostOften = 64

func (e *Engine) askedOften(g *Generation, path Path) {
	select {
	case e.often <- often{g, path}:
	default:
	}
}

// evaluatePartially makes second tiers until ctx ends, one at a time and for what serves alone, beside
// the decisions and after the swap.
func (e *Engine) evaluatePartially(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-e.often:
			if o.generation == e.Current() {
				_ = o.generation.evaluatePartially(ctx, o.path) // without it decisions are made as before
			}
		}
	}
}
