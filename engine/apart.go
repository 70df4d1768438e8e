package engine

import (
	"context"
	"errors"
	"fmt"

	"defenseclaw/engine/internal/contain"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Apart is [Generation.Evaluate] for what the program itself asks of a policy, such as whether a change may serve: it is
// no decision. It waits for no slot of those for decisions, counts nowhere as asked for, is never made by a program or in
// another process, and tracer, which may be nil, sees its steps in one goroutine. It ends at ctx's deadline, or after
// [Generation.Timeout], even where a builtin does not; tracer may then still be called. An error of a builtin is the error.
func (g *Generation) Apart(ctx context.Context, path Path, input ast.Value, tracer topdown.QueryTracer) (ast.Value, error) {
	doing := "evaluate " + path.String()
	cancel := func() {}
	if _, bounded := ctx.Deadline(); !bounded {
		ctx, cancel = context.WithTimeout(ctx, g.Timeout())
	}
	return abandonable(ctx, false, doing, cancel, func(ctx context.Context) (value ast.Value, err error) {
		take := func(t *ast.Term, _ *rego.EvalContext) (any, error) {
			value = t.Value
			return nil, nil //nolint:nilnil // the value is taken, its JSON is not needed
		}
		query := ast.NewBody(ast.NewExpr(ast.NewTerm(path.ref())))
		options := append(g.adHoc(Observation{}, tracer), rego.ParsedQuery(query), rego.ParsedInput(input), rego.GenerateJSON(take))
		if _, err = rego.New(options...).Eval(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", doing, asEnded(ctx, err))
		}
		return value, nil
	})
}

// Abandonable runs f, which works on the generation apart from decisions, such as to explain one. A panic of it is an error
// for which [IsCrash] is true. It returns at ctx's end even where f does not, since a builtin may be at work that cannot be
// interrupted: then the error wraps [ErrDecisionTimeout], nothing that f writes may be read, and f goes on until it ends.
// end is called when f has ended.
func (g *Generation) Abandonable(ctx context.Context, doing string, end func(), f func(context.Context) error) error {
	_, err := abandonable(ctx, g.evaluator.AwaitsAbandoned(), doing, end, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, f(ctx)
	})
	return err
}

// IsCrash reports whether err is, or wraps, a crash that was contained: a fault of the program, not of the policy.
func IsCrash(err error) bool { return errors.As(err, new(*contain.Error)) }

// Contained runs f, and makes a panic of it an error for which [IsCrash] is true; doing says what it does.
func Contained(doing string, f func() error) (err error) {
	defer contain.Panic(doing, &err)
	return f()
}

// abandonable runs f, and returns at the end of ctx even if f does not, unless await is set. end is called when f has ended.
func abandonable[T any](
	ctx context.Context, await bool, doing string, end func(), f func(context.Context) (T, error),
) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		defer end()
		var o outcome
		defer func() { done <- o }()
		defer contain.Panic(doing, &o.err)
		o.value, o.err = f(ctx)
	}()
	if await {
		o := <-done
		return o.value, o.err
	}
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done: // it has ended, and end cancelled ctx
		return o.value, o.err
	default:
		var none T
		return none, fmt.Errorf("%s: %w: %w", doing, ErrDecisionTimeout, context.Cause(ctx))
	}
}
