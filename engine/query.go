package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/store"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Observation says what to record of an evaluation besides its result, and how it evaluates. The zero value
// records nothing, and evaluates as [Generation.Evaluate] does. One Observation is for one evaluation.
type Observation struct {
	Lenient    bool                          // a builtin that fails is undefined, as in [Generation.EvaluateLenient]
	Metrics    metrics.Metrics               // how long its parts took; nil: not measured
	Instrument bool                          // Metrics also holds the evaluator's counters
	Tracer     *topdown.BufferTracer         // every step; nil: none
	Steps      topdown.QueryTracer           // for Observe: told of every step as it happens, instead of Tracer; nil: nobody
	MaxEvents  int                           // of Tracer; one more is an error that wraps [ErrAnswerTooLong]; 0: unbounded
	EveryRule  bool                          // for Observe: evaluate rules that an index would exclude, too, and those after one that gave the value
	NoIndex    bool                          // for Observe: evaluate rules that an index would exclude, too
	At         time.Time                     // for Observe: what the clock of the policy says; zero: now
	Labels     *topdown.EvaluatedRuleTracker // labels of the rules that were evaluated; nil: none
}

func (o Observation) mode() eval.Mode {
	if o.Lenient {
		return eval.Lenient
	}
	return eval.Strict
}

// tracer returns the tracer of one evaluation, nil for none, and the context that it ends when it is full.
func (o Observation) tracer(ctx context.Context) (context.Context, topdown.QueryTracer) {
	switch {
	case o.Steps != nil:
		return ctx, o.Steps
	case o.Tracer == nil:
		return ctx, nil
	case o.MaxEvents == 0:
		return ctx, o.Tracer
	}
	ctx, end := context.WithCancelCause(ctx)
	return ctx, &boundedTrace{o.Tracer, o.MaxEvents, end}
}

// Observe is [Generation.Evaluate] with a record of how the decision was made.
func (g *Generation) Observe(ctx context.Context, path Path, input ast.Value, o Observation) (_ ast.Value, err error) {
	defer contain.Panic("evaluate "+path.String(), &err)
	ctx, end, err := g.evaluator.EnterAdHoc(ctx)
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", path, err)
	}
	defer end()
	ctx, tracer := o.tracer(ctx)
	if o.Metrics != nil {
		hits := o.Metrics.Counter(metrics.ServerQueryCacheHit)
		if g.evaluator.Planned(eval.Path(path)) {
			hits.Incr()
		}
	}
	value, err := g.evaluator.Observe(ctx, eval.Path(path), input, o.mode(), o.options(tracer)...)
	return value, asEnded(ctx, err)
}

// options are those of an evaluation of what is prepared.
func (o Observation) options(tracer topdown.QueryTracer) []rego.EvalOption {
	options := []rego.EvalOption{
		rego.EvalInstrument(o.Instrument), rego.EvalEvaluatedRuleTracker(o.Labels),
		rego.EvalRuleIndexing(!o.EveryRule && !o.NoIndex), rego.EvalEarlyExit(!o.EveryRule),
	}
	if !o.At.IsZero() {
		options = append(options, rego.EvalTime(o.At))
	}
	if o.Metrics != nil {
		options = append(options, rego.EvalMetrics(o.Metrics))
	}
	if tracer != nil {
		options = append(options, rego.EvalQueryTracer(tracer))
	}
	return options
}

// Within runs f, which makes an input whose size a caller chose, in a slot of those for evaluations. The error is
// f's or ctx's, or wraps [ErrBusy] or [ErrDecisionTimeout].
func (g *Generation) Within(ctx context.Context, f func() error) error {
	err := context.Cause(ctx)
	if at, ok := ctx.Deadline(); err == nil && ok && !time.Now().Before(at) {
		err = context.DeadlineExceeded // the context's timer may be late
	}
	if err != nil {
		return fmt.Errorf("make the input: %w: %w", eval.ErrTimeout, err)
	}
	_, end, err := g.evaluator.EnterAdHoc(ctx)
	if err != nil {
		return fmt.Errorf("make the input: %w", err)
	}
	defer end()
	return f()
}

// Query evaluates a query that the caller wrote, with an input that may be nil for none. The rules of the
// policy hold for it: unsafe builtins are refused, and the deadline is that of
// [Generation.Decide]. A query that does not compile, or has more than [MaxQuerySteps] expressions and calls,
// is an error that wraps [ast.Errors]. Nothing of the query is kept. After an error that wraps
// [ErrDecisionTimeout], the evaluation may still write into o.
func (g *Generation) Query(ctx context.Context, query ast.Body, input ast.Value, o Observation) (rego.ResultSet, error) {
	if err := checkQuery(query); err != nil {
		return nil, fmt.Errorf("evaluate the query: %w", err)
	}
	query = query.Copy() // the evaluation changes it
	return runAdHoc(ctx, g, "evaluate the query", func(ctx context.Context) (rego.ResultSet, error) {
		ctx, tracer := o.tracer(ctx)
		set, err := rego.New(append(g.adHoc(o, tracer), rego.ParsedQuery(query), rego.ParsedInput(input), rego.GenerateJSON(g.rows()))...).Eval(ctx)
		if err != nil {
			return nil, fmt.Errorf("evaluate the query: %w", asEnded(ctx, err))
		}
		return set, nil
	})
}

// Partial is what [Generation.Partial] evaluates.
type Partial struct {
	Query                    ast.Body
	Package                  *ast.Package // that it stands in; nil: none
	Imports                  []*ast.Import
	Input                    ast.Value   // nil: none
	Unknowns                 []*ast.Term // nil: the input
	DisableInlining          []string    // references to rules that stay as they are
	NondeterministicBuiltins bool        // evaluate builtins whose result may differ next time, too
}

// Partial evaluates a query as far as its unknowns allow, and returns what is left of it, under the rules of
// [Generation.Query]. OPA only reads the compiler for this, so it is safe while decisions go on; it would
// write into it for a partial result that is evaluated later.
func (g *Generation) Partial(ctx context.Context, p Partial, o Observation) (*rego.PartialQueries, error) {
	if err := checkQuery(p.Query); err != nil {
		return nil, fmt.Errorf("partially evaluate the query: %w", err)
	}
	p.Query = p.Query.Copy()
	return runAdHoc(ctx, g, "partially evaluate the query", func(ctx context.Context) (*rego.PartialQueries, error) {
		ctx, tracer := o.tracer(ctx)
		left, err := rego.New(append(g.adHoc(o, tracer),
			rego.ParsedQuery(p.Query), rego.ParsedPackage(p.Package), rego.ParsedImports(g.importsIn(p.Package, p.Imports)), rego.ParsedInput(p.Input), rego.ParsedUnknowns(p.Unknowns),
			rego.DisableInlining(p.DisableInlining), rego.NondeterministicBuiltins(p.NondeterministicBuiltins),
		)...).Partial(ctx)
		if err != nil {
			return nil, fmt.Errorf("partially evaluate the query: %w", asEnded(ctx, err))
		}
		return left, nil
	})
}

// adHoc are the options of every query that is not prepared.
func (g *Generation) adHoc(o Observation, tracer topdown.QueryTracer) []func(*rego.Rego) {
	options := []func(*rego.Rego){
		rego.Compiler(g.policy.Compiler()),
		rego.Store(g.data),
		rego.Transaction(store.Txn{}),
		rego.UnsafeBuiltins(dialect.UnsafeBuiltins),
		rego.StrictBuiltinErrors(!o.Lenient),
		rego.StackTraces(true),
		rego.SetRegoVersion(ast.RegoV1),
		rego.Instrument(o.Instrument),
		rego.EvaluatedRuleTracker(o.Labels),
	}
	if o.Metrics != nil {
		options = append(options, rego.Metrics(o.Metrics))
	}
	if tracer != nil {
		options = append(options, rego.QueryTracer(tracer))
	}
	return options
}

// HasRules reports whether the policy has rules for the document at path or for one that it is a part of. If
// so, another input could define a document that is undefined.
func (g *Generation) HasRules(path Path) bool {
	return len(g.policy.Compiler().GetRulesForVirtualDocument(path.ref())) > 0
}

// ReadsData reports whether the document at path may hold what is in data files, and not only what rules make of it. It
// does unless a rule defines the document or one that it is a part of, or the document is a package, or holds packages,
// and no data file has anything there.
func (g *Generation) ReadsData(path Path) bool {
	node := g.policy.Compiler().RuleTree.Child(ast.DefaultRootDocument.Value)
	for _, name := range path {
		if node == nil || len(node.Values) > 0 {
			break
		}
		node = node.Child(ast.String(name))
	}
	if node == nil || len(node.Values) > 0 {
		return node == nil
	}
	_, err := g.data.Read(context.Background(), store.Txn{}, storage.Path(path))
	return err == nil
}

// Refers reports whether a rule of another package refers to the document at path, to a part of it or to what it is a part
// of. A reference that varies counts as one to all that it could be.
func (g *Generation) Refers(path Path) bool {
	return len(g.policy.Graph().Dependents([]unit.Key{unit.PathKey(path.ref())})) > 0
}

// CouldDefine reports whether there are rules or data at path, above it or below it, so that some input could
// define the document.
func (g *Generation) CouldDefine(path Path) bool {
	if g.HasRules(path) || g.policy.Compiler().RuleTree.Find(path.ref()) != nil {
		return true
	}
	_, err := g.data.Read(context.Background(), store.Txn{}, storage.Path(path))
	return err == nil
}

// Module is the compiled module of a file; nil if the file is no module that serves. Not to be changed.
func (g *Generation) Module(path string) *ast.Module {
	p := g.parsedAt(path)
	if p == nil || p.Source.Kind() != source.KindModule {
		return nil
	}
	return g.policy.CompiledModule(p.Unit.Package, path)
}

// parsedAt is the file at a path, nil if there is none.
func (g *Generation) parsedAt(path string) *parse.File {
	i, ok := slices.BinarySearchFunc(g.parsed, path, func(p *parse.File, path string) int { return strings.Compare(p.Source.Path, path) })
	if !ok {
		return nil
	}
	return g.parsed[i]
}
