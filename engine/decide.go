package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"defenseclaw/engine/internal/eval"

	"github.com/open-policy-agent/opa/v1/ast"
)

// DecisionTimeout bounds a decision whose context has no deadline, unless [Config].DecisionTimeout is set.
const DecisionTimeout = eval.DefaultTimeout

// Errors that a decision's error may wrap.
var (
	ErrDecisionTimeout = eval.ErrTimeout // the decision's deadline passed, or its caller went away
	ErrBusy            = eval.ErrBusy    // too many decisions are being made; this one was not begun
	ErrPath            = eval.ErrPath    // the path names nothing that Rego could refer to, such as one that is not UTF-8
)

// Unavailable is the error of an evaluation that could not be made for a reason outside of policy and input, such
// as a process for it that ended.
type Unavailable struct {
	Err   error
	After time.Duration // when to ask again
}

// Error says why.
func (u *Unavailable) Error() string { return u.Err.Error() }

// Unwrap returns the reason.
func (u *Unavailable) Unwrap() error { return u.Err }

// RetryAfter reports whether err, which may be nil, says nothing about policy and input, because nothing was
// evaluated to its end, and when to ask again: [ErrBusy] or *[Unavailable].
func RetryAfter(err error) (after time.Duration, ok bool) {
	if u := (*Unavailable)(nil); errors.As(err, &u) {
		return u.After, true
	}
	return time.Second, errors.Is(err, ErrBusy)
}

// WithRequester names who asks for the decisions that are made with the context: a token, a user, an address. One
// requester holds at most three quarters of [Config].MaxDecisions, whichever paths it asks for. It is cheapest in
// a context that serves for many decisions, such as a connection's.
func WithRequester(ctx context.Context, name string) context.Context {
	return eval.WithRequester(ctx, name)
}

// Requester is the name that [WithRequester] gave; empty without one.
func Requester(ctx context.Context) string { return eval.Requester(ctx) }

// Elsewhere evaluates for a generation, as [Generation.Evaluate] or, if lenient, as [Generation.EvaluateLenient]
// do: in another process, which holds the same generation.
type Elsewhere func(ctx context.Context, g *Generation, path Path, input ast.Value, lenient bool) (ast.Value, error)

// Decide is [Generation.Evaluate] with the result in JSON's Go types, numbers as [json.Number]. Undefined is
// not an error: then defined is false. A result over [Config].MaxAnswerBytes, each value of it counted with 32
// more, is an error that wraps [ErrAnswerTooLong].
func (g *Generation) Decide(ctx context.Context, path Path, input ast.Value) (result any, defined bool, err error) {
	value, err := g.Evaluate(ctx, path, input)
	if err != nil || value == nil {
		return nil, false, err
	}
	if result, err = g.plain(value); err != nil {
		return nil, false, fmt.Errorf("evaluate %s: %w", path, err)
	}
	return result, true, nil
}

// Evaluate evaluates the document at path with input, which may be nil for none. The value is nil where the
// document is undefined, which is not an error. It must not be changed: it may share parts with the
// generation's data. The error is the policy's (a builtin that failed, a conflict between rules), ctx's, or
// wraps [ErrDecisionTimeout], [ErrBusy] or [ErrPath]. Evaluate reads no file, takes no lock that a reload
// holds, and needs nothing but this generation, unless [Config].Elsewhere is set.
func (g *Generation) Evaluate(ctx context.Context, path Path, input ast.Value) (ast.Value, error) {
	if g.elsewhere != nil {
		return g.elsewhere(ctx, g, path, input, false)
	}
	return g.evaluator.Evaluate(ctx, eval.Path(path), input, eval.Strict)
}

// EvaluateLenient is [Generation.Evaluate] with OPA's default for a builtin that fails: what called it is
// undefined. An operand over a limit of ours is an error all the same.
func (g *Generation) EvaluateLenient(ctx context.Context, path Path, input ast.Value) (ast.Value, error) {
	if g.elsewhere != nil {
		return g.elsewhere(ctx, g, path, input, true)
	}
	return g.evaluator.Evaluate(ctx, eval.Path(path), input, eval.Lenient)
}
