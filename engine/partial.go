package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/dialect"

	"github.com/open-policy-agent/opa/v1/ast"
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

// evaluateAhead makes the second tier of the plan for a path and lets decisions use it: the query
// partially evaluated or, where that is not foreseen to change nothing, the values of the rules that
// depend on the data alone. It computes for a second at most, and shares nothing with the decisions
// meanwhile. An error says why there is less than a partial evaluation.
func (g *Generation) evaluateAhead(ctx context.Context, path Path) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = contain.Recovered("evaluate "+path.String()+" ahead", v)
		}
	}()
	plan, err := g.plan(path)
	if err != nil {
		return err
	}
	foresight := g.policy.foresee(path.ref())
	if err = g.evaluatePartially(ctx, plan, foresight); err != nil {
		g.evaluateKnown(ctx, plan, foresight.known())
	}
	return err
}

// evaluatePartially wraps [errNotForeseen] where it does not.
func (g *Generation) evaluatePartially(ctx context.Context, plan *plan, foresight *foresight) error {
	lookups, why := foresight.whyNotPartial(plan.path.ref())
	if why != "" {
		return fmt.Errorf("%w: %s", errNotForeseen, why)
	}
	ctx, cancel := context.WithTimeout(ctx, partialTimeout)
	defer cancel()
	limit := newDeadline(ctx, partialTimeout)
	for _, ref := range lookups {
		if name, found := numberName(g.data.Get(ref), limit); found {
			return fmt.Errorf("%w: %s has a member %q, which a number may mean", errNotForeseen, ref, name)
		}
	}
	left, support, err := plan.tier.Load().newQuery(g).
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
	plan.tier.Store(partial)
	return nil
}

// compilePartial makes a tier of what is left of a query once the data is known and the input is not.
func (p *policy) compilePartial(ctx context.Context, left []ast.Body, support []*ast.Module) (*tier, error) {
	switch len(left) {
	case 0:
		return &tier{never: true}, nil
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
			putInputs(rule)
		}
		modules[fmt.Sprintf(partialModuleName, i)] = module
	}
	if err := p.onlyData(left[0]); err != nil {
		return nil, err
	}
	compiler := dialect.NewCompiler()
	compiler.Compile(modules)
	if compiler.Failed() {
		return nil, fmt.Errorf("%w: %w", errNotForeseen, compiler.Errors)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotForeseen, err)
	}
	partial := &tier{rules: dialect.Seal(compiler)}
	partial.compiler = partial.rules.QueryCompiler()
	var err error
	if partial.body, err = partial.compiler.Compile(left[0]); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotForeseen, err)
	}
	return partial, nil
}

// onlyData sees to it that what is left refers to data and to itself, and to no rule of the policy,
// which its compiler does not know.
func (p *policy) onlyData(left any) (err error) {
	own := ast.DefaultRootRef.Append(ast.StringTerm(partialNamespace))
	ast.WalkRefs(left, func(ref ast.Ref) bool {
		if ref.HasPrefix(ast.DefaultRootRef) && !ref.HasPrefix(own) && len(rulesAt(p.compiler, ref)) > 0 {
			err = fmt.Errorf("%w: %s is left", errNotForeseen, ref)
		}
		return err != nil
	})
	return err
}

// numberName finds a member below the value whose name is the text of a number. A look-up of data by a
// number finds such a member, where a search, which a partial evaluation makes of the look-up, does not.
func numberName(v ast.Value, limit *deadline) (name ast.String, found bool) {
	look := func(t *ast.Term) {
		if !found && !limit.Cancelled() {
			name, found = numberName(t.Value, limit)
		}
	}
	switch v := v.(type) {
	case ast.Object:
		v.Foreach(func(key, member *ast.Term) {
			if k, ok := key.Value.(ast.String); ok && !found && k != "" && k[0] <= '9' && json.Valid([]byte(k)) && k[0] != '"' {
				name, found = k, true
			}
			look(member)
		})
	case *ast.Array:
		v.Foreach(look)
	}
	return name, found
}

// putInputs puts references to the input in place of the variables that stand for them where those are
// compared with a constant, since that is what the index of rules looks for.
func putInputs(rule *ast.Rule) {
	inputs := map[ast.Var]*ast.Term{}
	for _, expr := range rule.Body {
		if v, other := equated(expr); other != nil && isInputTerm(other) {
			inputs[v] = other
		}
	}
	put := ast.NewVarSet()
	body := make([]*ast.Expr, 0, len(rule.Body))
	for _, expr := range rule.Body {
		if v, other := equated(expr); other != nil && inputs[v] != nil && ast.IsConstant(other.Value) {
			expr = ast.Equality.Expr(other, inputs[v])
			put.Add(v)
		}
		body = append(body, expr)
	}
	used := rule.Head.Vars()
	for _, expr := range body {
		if v, other := equated(expr); other == nil || other != inputs[v] {
			addVars(used, expr)
		}
	}
	rule.Body = slices.DeleteFunc(body, func(expr *ast.Expr) bool {
		v, other := equated(expr)
		return other != nil && other == inputs[v] && put.Contains(v) && !used.Contains(v)
	})
}

// equated takes apart an equation of a variable with something else; other is nil where there is none.
func equated(expr *ast.Expr) (v ast.Var, other *ast.Term) {
	if expr.Negated || !expr.IsEquality() || len(expr.Operands()) != 2 {
		return "", nil
	}
	a, b := expr.Operand(0), expr.Operand(1)
	if v, ok := a.Value.(ast.Var); ok {
		return v, b
	}
	if v, ok := b.Value.(ast.Var); ok {
		return v, a
	}
	return "", nil
}

func isInputTerm(t *ast.Term) bool {
	ref, ok := t.Value.(ast.Ref)
	return ok && isInput(ref) && ref.IsGround()
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

// evaluateAhead makes second tiers until ctx ends, one at a time and for what serves alone, beside the
// decisions and after the swap.
func (e *Engine) evaluateAhead(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-e.often:
			if o.generation == e.Current() {
				_ = o.generation.evaluateAhead(ctx, o.path) // without it decisions are made as before
			}
		}
	}
}
