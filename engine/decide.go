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
	ErrDecisionTimeout = eval.ErrTimeout   // the decision's deadline passed, or its caller went away
	ErrBusy            = eval.ErrBusy      // too many decisions are being made; this one was not begun
	ErrPathTypes       = eval.ErrPathTypes // the types of the rules rule out a document at the path, such as one below a boolean; wraps OPA's errors
	ErrPath            = eval.ErrPath      // the path names nothing that Rego could refer to, such as one that is not UTF-8
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
	return g.DecideInput(ctx, path, InputOf(input))
}

// DecideInput is [Generation.Decide] for an input of any kind.
func (g *Generation) DecideInput(ctx context.Context, path Path, input *Input) (result any, defined bool, err error) {
	if g.elsewhere == nil {
		plain := func(v ast.Value) (any, error) {
			p, err := g.plain(v)
			if err != nil {
				err = fmt.Errorf("evaluate %s: %w", path, err)
			}
			return p, err
		}
		result, defined, err = g.evaluator.Plain(ctx, eval.Path(path), input, eval.Strict, bytesOfAValue, plain)
		if errors.Is(err, eval.ErrTooLong) {
			return nil, false, fmt.Errorf("evaluate %s: %w", path, g.AnswerTooLong())
		}
		return result, defined, err
	}
	value, err := g.elsewhere(ctx, g, path, input.Value(), false)
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

// Input is the input of decisions: a value, or a JSON text of which a value is made when one is asked for. It never
// changes. A nil *Input is none. Safe for concurrent use, so the decisions of a batch may share one.
type Input = eval.Input

// InputOf is the input that is a value, which must not be changed afterwards; nil is none.
func InputOf(v ast.Value) *Input { return eval.InputOf(v) }

// PlainInput is the input that is a value of encoding/json's types, which must not be changed afterwards. No value of OPA's
// is made of it where a program decides. The error is [ast.InterfaceToValue]'s.
func PlainInput(v any) (*Input, error) { return eval.PlainInput(v) }

// JoinInputs is over with the keys that only base has, at every depth at which both are objects. base may be nil, and may
// serve for many others, such as the common input of a batch: it is read once.
func JoinInputs(base, over *Input) *Input { return eval.Joined(base, over) }

// ReadInput is [ParseJSON] for the input of decisions at path. Where a program makes them, it reads what it needs of the
// text, and no value is made. The text may be changed afterwards.
func (g *Generation) ReadInput(path Path, text []byte) (*Input, error) {
	return g.evaluator.ReadInput(eval.Path(path), text)
}

// AppendDecision is [Generation.Evaluate] with the document appended to a text as JSON, as [Generation.AppendJSON] appends
// it. Where the document is undefined, nothing is appended and defined is false. The text keeps nothing of the input.
// With an error that wraps [ErrAnswerTooLong], the document is defined.
func (g *Generation) AppendDecision(
	ctx context.Context, to []byte, path Path, input *Input,
) (text []byte, defined bool, err error) {
	return g.appendDecision(ctx, to, path, input, eval.Strict)
}

// AppendDecisionLenient is to [Generation.AppendDecision] as [Generation.EvaluateLenient] is to [Generation.Evaluate].
func (g *Generation) AppendDecisionLenient(
	ctx context.Context, to []byte, path Path, input *Input,
) (text []byte, defined bool, err error) {
	return g.appendDecision(ctx, to, path, input, eval.Lenient)
}

func (g *Generation) appendDecision(
	ctx context.Context, to []byte, path Path, input *Input, mode eval.Mode,
) (text []byte, defined bool, err error) {
	if g.elsewhere == nil {
		text, defined, err = g.evaluator.Append(ctx, to, eval.Path(path), input, mode)
		if errors.Is(err, eval.ErrTooLong) {
			err = g.AnswerTooLong()
		}
		return text, defined, err
	}
	v, err := g.elsewhere(ctx, g, path, input.Value(), mode == eval.Lenient)
	if err != nil || v == nil {
		return to, false, err
	}
	text, err = g.AppendJSON(to, v)
	return text, true, err
}
