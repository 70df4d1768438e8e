package compile

import (
	"context"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/store"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// CompileWhole compiles all modules with one compiler: what [Build] has to equal, and what it falls back to
// (invariant 7); the differential tests of package engine compare the two. Errors that what is missing explains
// are left out. The error is [ast.Errors] or ctx's.
func CompileWhole(ctx context.Context, all []*unit.Module, data *store.Store, missing []Missing) (*Policy, error) {
	return compileWhole(ctx, all, data, missing, "")
}

// compileWhole is CompileWhole with why the next edit has to be compiled as a whole too; "" where only the modules can tell.
func compileWhole(ctx context.Context, all []*unit.Module, data *store.Store, missing []Missing, why string) (*Policy, error) {
	modules := make(map[string]*ast.Module, len(all))
	for _, m := range all {
		modules[m.File] = m.Syntax.Module()
	}
	compiler, err := compileAll(ctx, modules, data, missing)
	if err != nil {
		return nil, err
	}
	next := newPolicy(compiler, unit.New(all), why)
	next.recent = modules
	return next, nil
}

// compileAll compiles modules against one another and against the data. It does not change them. If they
// do not fit, the error is [ast.Errors] with every error that can be found, and the compiler is the last
// one, which compiled what was left without the rules at fault.
func compileAll(ctx context.Context, modules map[string]*ast.Module, data *store.Store, missing []Missing) (*ast.Compiler, error) {
	compiler, complete, err := compileOnce(ctx, modules, data, nil)
	if err != nil || !compiler.Failed() {
		return compiler, err
	}
	// OPA's compiler stops after a stage with errors. An author wants all errors at once, so what they are about
	// is replaced by something unknown, and the rest is compiled again until every stage has run.
	// The rounds are bounded, since each compiles everything that is left.
	const maxRounds = 8
	r := &repair{modules: modules, missing: missing, unknown: map[*ast.Rule]bool{}}
	errs := r.remaining(compiler.Errors)
	for range maxRounds {
		if complete {
			break
		}
		r.next(compiler.Errors)
		if compiler, complete, err = compileOnce(ctx, r.modules, data, nil); err != nil {
			return nil, err
		}
		errs = append(errs, r.remaining(compiler.Errors)...)
	}
	return compiler, errs
}

// compileOnce also returns whether every stage ran. stubs, if not nil, runs when the compiler has made its
// graph: see [stubs.stage]. The error is ctx's; errors of the modules are the compiler's.
func compileOnce(
	ctx context.Context, modules map[string]*ast.Module, data *store.Store, stubs *ast.CompilerStageDefinition,
) (_ *ast.Compiler, complete bool, _ error) {
	compiler := dialect.NewCompiler().WithPathConflictsCheck(storage.NonEmpty(ctx, data, store.Txn{}))
	if stubs != nil {
		compiler = compiler.WithStageAfterID(ast.StageSetGraph, *stubs)
	}
	// A compiler takes no context. A stage of ours behind each of its own is the only place where it can be
	// stopped, and where it lets decisions have the processor (see package turns).
	stages := ast.AllStages()
	for i, stage := range stages {
		compiler = compiler.WithStageAfterID(stage, ast.CompilerStageDefinition{
			Name: "CheckDeadline", MetricName: "check_deadline", Stage: func(*ast.Compiler) *ast.Error {
				if err := turns.Next(ctx); err != nil {
					return ast.NewError(ast.CompileErr, nil, "%s", err)
				}
				complete = complete || i == len(stages)-1
				return nil
			},
		})
	}
	compiler.Compile(modules)
	return compiler, complete, ctx.Err()
}
