package engine

import (
	"context"
	"errors"
	"fmt"

	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/internal/store"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	regocompile "github.com/open-policy-agent/opa/v1/rego/compile"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// FilterRequest is what [Generation.Filters] translates: a rule that says which rows of a database a caller may
// see, into conditions that the database understands.
type FilterRequest struct {
	Path            Path                // of the rule
	Input           ast.Value           // nil: none
	Unknowns        []ast.Ref           // what stands for the rows; nil: what the rule's metadata says
	Mask            ast.Ref             // the rule that says what of a row is hidden; nil: the one that the metadata names
	Targets         []Target            // languages that must all be able to say it
	Mappings        map[string]any      // names of tables and columns, as OPA has them
	DisableInlining []string            // references to rules that stay as they are
	Tracer          topdown.QueryTracer // of the partial evaluation; nil: none
}

// Target is a language of conditions, and its dialect: {"sql", "postgresql"}.
type Target struct{ Language, Dialect string }

// Filters partially evaluates a rule and translates what is left of it, under the rules of
// [Generation.Query]. It also returns the request with the unknowns and the mask that it used. An error wraps
// [ast.Errors] if a target has no words for the rule, or if the metadata is wrong; no other error does.
func (g *Generation) Filters(ctx context.Context, f FilterRequest, o Observation) (_ *regocompile.Filters, _ FilterRequest, err error) {
	defer contain.Panic("translate "+f.Path.String(), &err)
	ctx, end, err := g.evaluator.EnterAdHoc(ctx)
	if err != nil {
		return nil, f, fmt.Errorf("translate %s: %w", f.Path, err)
	}
	defer end()
	if err := g.complete(&f); err != nil {
		return nil, f, err
	}
	if o.Metrics == nil {
		o.Metrics = metrics.New()
	}
	options := []regocompile.CompileOption{
		regocompile.ParsedQuery(ast.NewBody(ast.NewExpr(ast.NewTerm(f.Path.ref())))), regocompile.MaskRule(f.Mask), regocompile.Mappings(f.Mappings),
		regocompile.Metrics(o.Metrics), regocompile.Rego(append(g.adHoc(o, nil), rego.DisableInlining(f.DisableInlining))...),
	}
	unknowns := make([]*ast.Term, 0, len(f.Unknowns))
	for _, unknown := range f.Unknowns {
		unknowns = append(unknowns, ast.NewTerm(unknown))
	}
	options = append(options, regocompile.ParsedUnknowns(unknowns...))
	for _, t := range f.Targets {
		options = append(options, regocompile.Target(t.Language, t.Dialect))
	}
	o.Metrics.Timer(metrics.CompilePrepPartial).Start()
	prepared, err := regocompile.New(options...).Prepare(ctx)
	if err == nil {
		if err = g.policy.CheckPath(f.Path.ref()); err != nil { // which a spliced compiler does not see
			err = fmt.Errorf("prepare for partial: %w", err)
		}
	}
	if errs := (ast.Errors)(nil); errors.As(err, &errs) {
		return nil, f, errors.New(err.Error()) // a path that nothing can have is not the target's fault
	}
	if err != nil {
		return nil, f, eval.AsTimeout(ctx, err)
	}
	o.Metrics.Timer(metrics.CompilePrepPartial).Stop()
	evaluation := []rego.EvalOption{rego.EvalTransaction(store.Txn{}), rego.EvalParsedInput(f.Input)}
	if f.Tracer != nil {
		evaluation = append(evaluation, rego.EvalQueryTracer(f.Tracer))
	}
	filters, err := prepared.Compile(ctx, evaluation...)
	return filters, f, eval.AsTimeout(ctx, err)
}

// complete fills in from the rule's metadata what the request leaves out.
func (g *Generation) complete(f *FilterRequest) error {
	rules := g.policy.Compiler().GetRulesExact(f.Path.ref())
	if len(rules) == 0 || len(f.Unknowns) > 0 && f.Mask != nil {
		return nil
	}
	chain, err := g.metadata(rules[0]) // metadata of one rule at a path holds for all
	if err != nil {
		return err
	}
	var unknowns []ast.Ref
	var mask ast.Ref
	for _, at := range chain {
		if at.Annotations == nil || at.Annotations.Compile == nil {
			continue
		}
		said := at.Annotations.Compile
		for _, unknown := range said.Unknowns {
			if !unknown.HasPrefix(ast.InputRootRef) && !unknown.HasPrefix(ast.DefaultRootRef) {
				return fmt.Errorf("metadata: %w", ast.Errors{ast.NewError("invalid_unknown", at.Annotations.Loc(), "unknowns must be prefixed with `input` or `data`: %v", unknown)})
			}
			unknowns = append(unknowns, unknown)
		}
		if mask == nil && said.MaskRule != nil {
			if mask = said.MaskRule; !mask.HasPrefix(ast.DefaultRootRef) {
				mask = rules[0].Module.Package.Path.Extend(mask)
			}
		}
	}
	if len(f.Unknowns) == 0 {
		f.Unknowns = unknowns
	}
	if f.Mask == nil {
		f.Mask = mask
	}
	return nil
}

// metadata is the annotations of a rule: its own, its document's, its package's, and those of packages above.
func (g *Generation) metadata(rule *ast.Rule) ([]*ast.AnnotationsRef, error) {
	modules := []*ast.Module{rule.Module}
	for _, p := range g.parsed {
		if p.Unit == nil || p.Source.Path == rule.Module.Package.Location.File || !rule.Module.Package.Path.HasPrefix(p.Unit.Path) {
			continue
		}
		modules = append(modules, p.Module())
	}
	set, errs := ast.BuildAnnotationSet(modules)
	if len(errs) > 0 {
		return nil, fmt.Errorf("metadata: %w", errs)
	}
	return set.Chain(rule), nil
}
