package compile

import (
	"context"
	"maps"
	"slices"
	"strings"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/store"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// Whole compiles all modules with one compiler: what [Build] has to equal, and what it falls back to. With
// incomplete, some file does not parse, and errors that its absence explains are left out. The error is
// [ast.Errors] or ctx's.
func Whole(ctx context.Context, all []*unit.Module, data *store.Store, incomplete bool) (*Policy, error) {
	modules := make(map[string]*ast.Module, len(all))
	for _, m := range all {
		modules[m.File] = m.Syntax.Module()
	}
	compiler, err := compileWhole(ctx, modules, data, incomplete)
	if err != nil {
		return nil, err
	}
	next := newPolicy(compiler, unit.New(all))
	next.recent = modules
	return next, nil
}

// compileWhole compiles modules against one another and against the data. It does not change them. If they
// do not fit, the error is [ast.Errors] with every error that can be found, and the compiler is the last
// one, which compiled what was left without the rules at fault.
func compileWhole(ctx context.Context, modules map[string]*ast.Module, data *store.Store, incomplete bool) (*ast.Compiler, error) {
	compiler, complete, err := compileOnce(ctx, modules, data, nil)
	if err != nil || !compiler.Failed() {
		return compiler, err
	}
	errs := compiler.Errors
	if incomplete {
		errs = withoutFollowUps(errs)
	}
	// OPA's compiler stops after a stage with errors. An author wants all errors at once, so the rules at
	// fault are left out and the rest is compiled again, until every stage has run.
	const maxRounds = 8
	for range maxRounds {
		if complete {
			break
		}
		modules = withoutRulesAt(modules, compiler.Errors)
		if compiler, complete, err = compileOnce(ctx, modules, data, nil); err != nil {
			return nil, err
		}
		errs = append(errs, withoutFollowUps(compiler.Errors)...)
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

// withoutRulesAt returns the modules without the rules that errs are about, and without the whole module
// where an error is about none of its rules. The given modules do not change.
func withoutRulesAt(modules map[string]*ast.Module, errs ast.Errors) map[string]*ast.Module {
	rest := maps.Clone(modules)
	for _, e := range errs {
		if e.Location == nil || rest[e.Location.File] == nil {
			continue
		}
		module := *rest[e.Location.File]
		at := -1
		for i, rule := range module.Rules {
			if rule.Location.Row <= e.Location.Row && (at < 0 || rule.Location.Row >= module.Rules[at].Location.Row) {
				at = i
			}
		}
		if at < 0 {
			delete(rest, e.Location.File)
			continue
		}
		row := module.Rules[at].Location.Row
		module.Rules = slices.DeleteFunc(slices.Clone(module.Rules), func(r *ast.Rule) bool { return r.Location.Row == row })
		rest[e.Location.File] = &module
	}
	return rest
}

// withoutFollowUps drops calls of undefined functions: a rule that was left out, or a file that does not
// parse, may define them.
func withoutFollowUps(errs ast.Errors) ast.Errors {
	return slices.DeleteFunc(slices.Clone(errs), func(e *ast.Error) bool {
		return strings.HasPrefix(e.Message, "undefined function data.")
	})
}
