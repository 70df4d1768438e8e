package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// ErrPath is wrapped when a path names nothing that Rego could refer to, such as one that is not UTF-8.
var ErrPath = errors.New("the path is no Rego reference")

// Observation says what is to be noted of an evaluation besides its result. The zero value notes
// nothing. One Observation is for one evaluation.
type Observation struct {
	Metrics    metrics.Metrics               // how long its parts took; nil: not measured
	Instrument bool                          // Metrics also holds what the evaluator counts
	Tracer     *topdown.BufferTracer         // every step; nil: none
	EveryRule  bool                          // also those are evaluated that an index would have ruled out; of Observe
	Labels     *topdown.EvaluatedRuleTracker // labels of the rules that were evaluated; nil: none
}

// Observe is [Generation.Evaluate] with an eye on how the decision comes about.
func (g *Generation) Observe(ctx context.Context, path Path, input ast.Value, o Observation) (_ ast.Value, err error) {
	ctx, cancel := g.withDeadline(ctx)
	defer cancel()
	defer contain.Panic("evaluate "+path.String(), &err)
	if err := g.limiter.enter(ctx, g.limiter.queries(), g.Timeout()); err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", path, err)
	}
	defer g.limiter.leave(g.limiter.queries())
	if o.Metrics != nil {
		hits := o.Metrics.Counter(metrics.ServerQueryCacheHit)
		if _, ok := g.plans.byPath.Load(path.key()); ok {
			hits.Incr()
		}
	}
	plan, err := g.plan(path)
	if err != nil {
		return nil, err
	}
	options := []rego.EvalOption{
		rego.EvalInstrument(o.Instrument), rego.EvalEvaluatedRuleTracker(o.Labels),
		rego.EvalRuleIndexing(!o.EveryRule), rego.EvalEarlyExit(!o.EveryRule),
	}
	if o.Metrics != nil {
		options = append(options, rego.EvalMetrics(o.Metrics))
	}
	if o.Tracer != nil {
		options = append(options, rego.EvalQueryTracer(o.Tracer))
	}
	value, err := plan.watch(ctx, input, options...)
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", path, evaluationError(ctx, err))
	}
	return value, nil
}

// Query evaluates a query that the caller wrote, with an input that may be nil for none. The rules
// of the policy hold for it: the forbidden builtins are forbidden, errors of builtins are errors,
// and the deadline is that of [Generation.Decide]. A query that does not compile is an error that
// wraps [ast.Errors]. The query is changed. Nothing of it is kept.
func (g *Generation) Query(ctx context.Context, query ast.Body, input ast.Value, o Observation) (_ rego.ResultSet, err error) {
	ctx, cancel := g.withDeadline(ctx)
	defer cancel()
	defer contain.Panic("evaluate a query", &err)
	if err := g.limiter.enter(ctx, g.limiter.queries(), g.Timeout()); err != nil {
		return nil, fmt.Errorf("evaluate the query: %w", err)
	}
	defer g.limiter.leave(g.limiter.queries())
	set, err := rego.New(append(g.adHoc(o), rego.ParsedQuery(query), rego.ParsedInput(input))...).Eval(ctx)
	if err != nil {
		return nil, fmt.Errorf("evaluate the query: %w", evaluationError(ctx, err))
	}
	return set, nil
}

// Partial is what [Generation.Partial] evaluates.
type Partial struct {
	Query                    ast.Body
	Input                    ast.Value   // nil: none
	Unknowns                 []*ast.Term // nil: the input
	DisableInlining          []string    // references to rules that stay as they are
	NondeterministicBuiltins bool        // builtins whose result may differ next time are evaluated too
}

// Partial evaluates what of a query can be known, and returns what is left of it, under the rules of
// [Generation.Query]. OPA reads the compiler to do this and does not change it, unlike for a partial
// result that is to be evaluated later; so this is safe beside decisions.
func (g *Generation) Partial(ctx context.Context, p Partial, o Observation) (_ *rego.PartialQueries, err error) {
	ctx, cancel := g.withDeadline(ctx)
	defer cancel()
	defer contain.Panic("partially evaluate a query", &err)
	if err := g.limiter.enter(ctx, g.limiter.queries(), g.Timeout()); err != nil {
		return nil, fmt.Errorf("partially evaluate the query: %w", err)
	}
	defer g.limiter.leave(g.limiter.queries())
	left, err := rego.New(append(g.adHoc(o),
		rego.ParsedQuery(p.Query), rego.ParsedInput(p.Input), rego.ParsedUnknowns(p.Unknowns),
		rego.DisableInlining(p.DisableInlining), rego.NondeterministicBuiltins(p.NondeterministicBuiltins),
	)...).Partial(ctx)
	if err != nil {
		return nil, fmt.Errorf("partially evaluate the query: %w", evaluationError(ctx, err))
	}
	return left, nil
}

// adHoc is what holds for every query that is not prepared.
func (g *Generation) adHoc(o Observation) []func(*rego.Rego) {
	options := []func(*rego.Rego){
		rego.Compiler(g.policy.compiler),
		rego.Store(g.data),
		rego.Transaction(transaction{}),
		rego.UnsafeBuiltins(dialect.UnsafeBuiltins),
		rego.StrictBuiltinErrors(true),
		rego.StackTraces(true),
		rego.SetRegoVersion(ast.RegoV1),
		rego.Instrument(o.Instrument),
		rego.EvaluatedRuleTracker(o.Labels),
	}
	if o.Metrics != nil {
		options = append(options, rego.Metrics(o.Metrics))
	}
	if o.Tracer != nil {
		options = append(options, rego.QueryTracer(o.Tracer))
	}
	return options
}

// HasRules reports whether the policy has rules for the document at path or for one that it is a part
// of: whether, when it is undefined, another input could define it.
func (g *Generation) HasRules(path Path) bool {
	return len(g.policy.compiler.GetRulesForVirtualDocument(path.ref())) > 0
}

// CouldDefine reports whether there are rules or data at path, above it or below: whether some input
// could define the document there.
func (g *Generation) CouldDefine(path Path) bool {
	if g.HasRules(path) || g.policy.compiler.RuleTree.Find(path.ref()) != nil {
		return true
	}
	_, err := g.data.Read(context.Background(), transaction{}, storage.Path(path))
	return err == nil
}

// Module is the module of a file, as it was compiled; nil when the file is not
// a module that serves. Not to be changed.
func (g *Generation) Module(path string) *ast.Module {
	i, ok := slices.BinarySearchFunc(g.parsed, path, func(p *parse.File, path string) int { return strings.Compare(p.Source.Path, path) })
	if !ok || g.parsed[i].Source.Kind() != source.KindModule {
		return nil
	}
	return g.policy.packages.Get(g.parsed[i].Unit.Package).modules[path]
}

func (g *Generation) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, g.Timeout())
}

// evaluationError says that a deadline passed where that is why the evaluation ended.
func evaluationError(ctx context.Context, err error) error {
	if topdown.IsCancel(err) {
		return fmt.Errorf("%w: %w", ErrDecisionTimeout, context.Cause(ctx))
	}
	return err
}
