package eval

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

// The second tier of a plan is bounded in the time that it takes to make and in the rules that are left. A rule
// that searches data by the input leaves a rule for each member, so large data would make a large tier.
const (
	partialTimeout    = 500 * time.Millisecond
	maxPartialRules   = 20_000
	partialNamespace  = "partially evaluated" // no module can declare this package
	partialModuleName = "partially-evaluated-%d.rego"
)

// ErrNotPartial is wrapped when a path cannot be partially evaluated, or not in time.
var ErrNotPartial = errors.New("not partially evaluated")

// Ahead makes the second tier of the plan for a path, and decisions use it from then on: the query partially
// evaluated or, where that could change an answer or an error, the values of the rules that depend on the
// data alone. It takes a second at most, and decisions do not wait for it. An error that wraps
// [ErrNotPartial] says why there is no partial evaluation; the path may have constants all the same.
func (e *Evaluator) Ahead(ctx context.Context, path Path) (err error) {
	defer contain.Panic("evaluate "+path.String()+" ahead", &err)
	plan, err := e.plan(path)
	if err != nil {
		return err
	}
	// A path that has constants has them for the first tier's query, so a failed try at the first kind of
	// second tier has changed nothing.
	rules := inspect(e.policy.Compiler(), path.Ref())
	if err = e.evaluatePartially(ctx, plan, rules); err != nil {
		e.evaluateConstants(ctx, plan, rules.constants())
	}
	if t := plan.program.Load(); t != nil {
		t.young() // the tier may be faster now
	}
	return err
}

// evaluatePartially stores a second tier, or says why there is none. Any doubt is a reason (invariant 3): the
// first tier is right, only slower.
func (e *Evaluator) evaluatePartially(ctx context.Context, plan *plan, rules *inspection) error {
	lookups, why := rules.whyNotPartial(plan.path.Ref())
	if why != "" {
		return fmt.Errorf("%w: %s", ErrNotPartial, why)
	}
	ctx, cancel := context.WithTimeout(ctx, partialTimeout)
	defer cancel()
	limit := newDeadline(ctx, partialTimeout)
	for _, ref := range lookups {
		// A deadline that passes while it looks ends the partial evaluation below, too.
		if name, found := numberName(e.data.Get(ref), limit); found {
			return fmt.Errorf("%w: %s has a member %q, which a number may mean", ErrNotPartial, ref, name)
		}
	}
	for _, ref := range rules.indexed() {
		// A deadline that passes meanwhile ends the partial evaluation, as above.
		if listAt(e.data.Root(), ref[1:], limit) {
			return fmt.Errorf("%w: %s looks into a list, where text may be an index", ErrNotPartial, ref)
		}
	}
	if err := e.allEvaluate(ctx, rules.constants(), limit); err != nil {
		return fmt.Errorf("%w: %w", ErrNotPartial, err)
	}
	// It starts from the tier that serves. Only the input is unknown: data is as fixed as the rules are.
	left, support, err := plan.tier.Load().newQuery(e).
		WithCancel(limit).
		WithUnknowns([]*ast.Term{ast.NewTerm(ast.InputRootRef)}).
		WithPartialNamespace(partialNamespace).
		WithShallowInlining(true). // rules stay rules, so that conflicts between them stay errors
		PartialRun(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotPartial, err)
	}
	partial, err := compilePartial(ctx, e.policy.Compiler(), left, support)
	if err != nil {
		return err
	}
	plan.tier.Store(partial)
	return nil
}

// allEvaluate returns why a rule at one of the places cannot be evaluated. A partial evaluation would lose that error: of
// a rule with several values it goes on with each, as long as something that it does not know comes after.
func (e *Evaluator) allEvaluate(ctx context.Context, places []ast.Ref, limit *deadline) error {
	for _, place := range places {
		one, err := newTier(e.policy.Compiler(), place)
		if err == nil {
			_, err = one.evaluate(ctx, e, limit, Strict)
		}
		if err != nil {
			return fmt.Errorf("%s cannot be evaluated: %w", place, err)
		}
	}
	return nil
}

// compilePartial makes a tier of what a partial evaluation left of a query: nothing, if no input can make it
// true, or one body and the rules that this refers to. Several bodies would need a union of answers, which a
// query of topdown does not make.
func compilePartial(ctx context.Context, policy *ast.Compiler, left []ast.Body, support []*ast.Module) (*tier, error) {
	switch len(left) {
	case 0:
		return &tier{never: true}, nil
	case 1:
	default:
		return nil, fmt.Errorf("%w: %d queries are left", ErrNotPartial, len(left))
	}
	rules, modules := 0, make(map[string]*ast.Module, len(support))
	// The maximum is checked before anything is done with the rules, since doing it is what costs.
	for i, module := range support {
		if rules += len(module.Rules); rules > maxPartialRules {
			return nil, fmt.Errorf("%w: more than %d rules are left", ErrNotPartial, maxPartialRules)
		}
		if err := onlyData(policy, module); err != nil {
			return nil, err
		}
		if err := onlyLeft(module, support); err != nil {
			return nil, err
		}
		for _, rule := range module.Rules {
			putInputs(rule)
		}
		modules[fmt.Sprintf(partialModuleName, i)] = module
	}
	if err := errors.Join(onlyData(policy, left[0]), onlyLeft(left[0], support)); err != nil {
		return nil, err
	}
	// Compiling gives the rules that are left their index: that is what makes the second tier fast.
	compiler := dialect.NewCompiler()
	compiler.Compile(modules)
	if compiler.Failed() {
		return nil, fmt.Errorf("%w: %w", ErrNotPartial, compiler.Errors)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPartial, err)
	}
	partial := &tier{rules: dialect.Seal(compiler)}
	partial.compiler = partial.rules.QueryCompiler()
	var err error
	if partial.body, err = partial.compiler.Compile(left[0]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPartial, err)
	}
	return partial, nil
}

// onlyData is an error if what is left refers to a rule of the policy: its own compiler has none of them, so the
// reference would be undefined there.
func onlyData(policy *ast.Compiler, left any) (err error) {
	own := ast.DefaultRootRef.Append(ast.StringTerm(partialNamespace))
	// Data that is no rule may stay: the second tier reads the same store.
	ast.WalkRefs(left, func(ref ast.Ref) bool {
		if ref.HasPrefix(ast.DefaultRootRef) && !ref.HasPrefix(own) && len(rulesAt(policy, ref)) > 0 {
			err = fmt.Errorf("%w: %s is left", ErrNotPartial, ref)
		}
		return err != nil
	})
	return err
}

// onlyLeft is an error if what is left refers to a rule that is not. A partial evaluation drops a body that no type allows
// to be true, and leaves the reference to its rule: a set would be undefined there, which is empty.
func onlyLeft(left any, support []*ast.Module) (err error) {
	own := ast.DefaultRootRef.Append(ast.StringTerm(partialNamespace))
	// One rule that is left is enough: where another body of the same place was dropped, it could not have been true.
	ast.WalkRefs(left, func(ref ast.Ref) bool {
		if ref.HasPrefix(own) && !slices.ContainsFunc(support, func(m *ast.Module) bool { return definesBelow(m, ref.GroundPrefix()) }) {
			err = fmt.Errorf("%w: nothing is left at %s", ErrNotPartial, ref)
		}
		return err != nil
	})
	return err
}

// definesBelow reports whether a module has a rule at the reference, below it or above it. Above it counts, since a rule's
// value may have the rest of the reference in it.
func definesBelow(m *ast.Module, ref ast.Ref) bool {
	return slices.ContainsFunc(m.Rules, func(rule *ast.Rule) bool {
		place := rule.Ref().GroundPrefix()
		return place.HasPrefix(ref) || ref.HasPrefix(place)
	})
}

// numberName finds a member below the value whose name is the text of a number. A lookup of data by a number
// finds such a member. A partial evaluation turns the lookup into a search, which does not.
func numberName(v ast.Value, limit *deadline) (name ast.String, found bool) {
	// The search stops at the first, or when the time of the partial evaluation is over.
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

// listAt reports whether the last part of a path may look something up in a list. A lookup of data by the text of a whole
// number finds an item. A partial evaluation turns the lookup into a search for the number, which does not. A part of the
// path that is no constant stands for all members.
func listAt(v ast.Value, path ast.Ref, limit *deadline) (found bool) {
	// An empty list has no item that text could find, so many a policy keeps its tier until the list is filled.
	list, isList := v.(*ast.Array)
	if len(path) == 1 || limit.Cancelled() {
		return isList && list.Len() > 0
	}
	below := func(t *ast.Term) { found = found || t != nil && listAt(t.Value, path[1:], limit) }
	switch v := v.(type) {
	case ast.Object:
		if path[0].IsGround() {
			below(v.Get(path[0]))
		} else {
			v.Foreach(func(_, member *ast.Term) { below(member) })
		}
	case *ast.Array:
		if path[0].IsGround() {
			below(v.Get(path[0]))
		} else {
			v.Foreach(below)
		}
	}
	return found
}

// putInputs replaces variables that are equal to a reference into the input, where they are compared with a
// constant, by that reference: OPA's index of rules recognizes references only. Without the index, a decision
// would try every rule that is left, which may be one for each member of the data.
func putInputs(rule *ast.Rule) {
	inputs := map[ast.Var]*ast.Term{}
	for _, expr := range rule.Body {
		if v, other := equated(expr); other != nil && isInputTerm(other) {
			inputs[v] = other
		}
	}
	// The equation with the input goes only where nothing else uses its variable, in the head or the body.
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

// equated splits an equation of a variable with something else; other is nil if expr is none. A partial evaluation
// leaves many of them, in either order.
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

// isInputTerm holds for a reference into the input without variables: those alone are what OPA's index looks up.
func isInputTerm(t *ast.Term) bool {
	ref, ok := t.Value.(ast.Ref)
	return ok && isInput(ref) && ref.IsGround()
}
