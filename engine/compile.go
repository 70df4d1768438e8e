package engine

import (
	"context"
	"maps"
	"slices"
	"strings"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/turns"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// compile checks the modules against one another and against the data, and prepares them for
// evaluation. The modules are not changed. When they do not fit, the error is [ast.Errors] with
// every error that can be found, and the compiler is the last one, which compiled what was left
// without the rules at fault. Cancelling ctx stops it after the stage it is in.
func compile(ctx context.Context, modules map[string]*ast.Module, data *store, someAreMissing bool) (*ast.Compiler, error) {
	compiler, complete, err := compileOnce(ctx, modules, data, nil)
	if err != nil || !compiler.Failed() {
		return compiler, err
	}
	errs := compiler.Errors
	if someAreMissing {
		errs = withoutFollowUps(errs)
	}
	// Some errors stop OPA's compiler before the stages that find others. Going on without the
	// rules at fault finds those: an author wants them all at once.
	const mostRounds = 8
	for range mostRounds {
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

// compileOnce also tells whether every stage ran. tell, where it is set, tells the compiler of rules
// beside those of the modules: see [surroundings].
func compileOnce(ctx context.Context, modules map[string]*ast.Module, data *store, tell *ast.CompilerStageDefinition) (_ *ast.Compiler, complete bool, _ error) {
	compiler := dialect.NewCompiler().WithPathConflictsCheck(storage.NonEmpty(ctx, data, transaction{}))
	if tell != nil {
		compiler = compiler.WithStageAfterID(ast.StageSetGraph, *tell)
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

// withoutRulesAt returns the modules less the rules that errs are about, and less the whole module
// where an error is about no rule of it. The modules given are not changed.
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

// withoutFollowUps drops the errors that the absence of broken modules explains: a call of a
// function that one of them may define.
func withoutFollowUps(errs ast.Errors) ast.Errors {
	return slices.DeleteFunc(slices.Clone(errs), func(e *ast.Error) bool {
		return strings.HasPrefix(e.Message, "undefined function data.")
	})
}

// modulesOf is what compilers take.
func modulesOf(all []*parse.File) map[string]*ast.Module {
	modules := make(map[string]*ast.Module, len(all))
	for _, p := range all {
		if p.Unit != nil {
			modules[p.Source.Path] = p.Module()
		}
	}
	return modules
}
