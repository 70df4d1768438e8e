package engine

import (
	"context"
	"errors"
	"fmt"
	"math"

	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// ErrAnswerTooLong is wrapped by the error of an answer over [Config].MaxAnswerBytes. Parts that a value has more
// than once are written each time, so a small policy can have an answer of any length.
var ErrAnswerTooLong = errors.New("the answer is too long")

// DefaultMaxAnswerBytes is the default of [Config].MaxAnswerBytes.
const DefaultMaxAnswerBytes = 64 << 20

// bytesOfAValue is about what a value takes in memory in addition to its text, as a value of Go.
const bytesOfAValue = 32

// MaxAnswerBytes is the maximum number of bytes that an answer may have as JSON.
func (g *Generation) MaxAnswerBytes() int { return g.evaluator.MaxAnswerBytes() }

// AnswerTooLong is the error, which wraps [ErrAnswerTooLong], of an answer with more than MaxAnswerBytes.
func (g *Generation) AnswerTooLong() error {
	return fmt.Errorf("%w: the limit is %d bytes of JSON", ErrAnswerTooLong, g.MaxAnswerBytes())
}

// AppendJSON writes a value, such as a decision, as encoding/json writes what [ast.JSON] makes of it. An error is
// of a value that is not ground, or wraps [ErrAnswerTooLong] if the text is longer than MaxAnswerBytes.
func (g *Generation) AppendJSON(to []byte, v ast.Value) ([]byte, error) {
	limit := g.MaxAnswerBytes()
	if limit < math.MaxInt-len(to) {
		limit += len(to)
	}
	to, err := jsonast.Append(to, v, limit)
	if errors.Is(err, jsonast.ErrTooLong) {
		err = g.AnswerTooLong()
	}
	return to, err
}

// plain is [ast.JSON] for values whose text and memory are within MaxAnswerBytes.
func (g *Generation) plain(v ast.Value) (any, error) {
	return (&allowance{g: g, left: g.MaxAnswerBytes()}).plain(v)
}

// allowance is what is left of MaxAnswerBytes for an answer that has several values.
type allowance struct {
	g    *Generation
	left int
}

func (a *allowance) plain(v ast.Value) (any, error) {
	if a.left -= jsonast.Size(v, bytesOfAValue, a.left); a.left < 0 {
		return nil, a.g.AnswerTooLong()
	}
	return ast.JSON(v)
}

// rows makes the rows of a query's result. Each row takes memory in addition to its values.
func (g *Generation) rows() func(*ast.Term, *rego.EvalContext) (any, error) {
	return g.rowsOf(&allowance{g: g, left: g.MaxAnswerBytes()})
}

// rowsOf are rows within an allowance.
func (g *Generation) rowsOf(a *allowance) func(*ast.Term, *rego.EvalContext) (any, error) {
	const bytesOfARow = 256
	return func(t *ast.Term, _ *rego.EvalContext) (any, error) {
		a.left -= bytesOfARow
		return a.plain(t.Value)
	}
}

// TextBytes returns about the number of bytes of a value as JSON, and stops counting above limit.
func TextBytes(v ast.Value, limit int) int { return jsonast.Size(v, 0, limit) }

// boundedTrace ends an evaluation whose trace has too many events, by end.
type boundedTrace struct {
	*topdown.BufferTracer

	max int
	end context.CancelCauseFunc
}

// TraceEvent is [topdown.QueryTracer]'s.
func (b *boundedTrace) TraceEvent(e topdown.Event) {
	if len(*b.BufferTracer) >= b.max {
		b.end(fmt.Errorf("%w: its trace has more than %d events", ErrAnswerTooLong, b.max))
		return
	}
	b.BufferTracer.TraceEvent(e)
}

// asEnded is [eval.AsTimeout], and tells an evaluation that its trace ended from one that took too long.
func asEnded(ctx context.Context, err error) error {
	if why := context.Cause(ctx); err != nil && errors.Is(why, ErrAnswerTooLong) {
		return why
	}
	return eval.AsTimeout(ctx, err)
}
