package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Evaluate is an [engine.Elsewhere].
func (p *Pool) Evaluate(ctx context.Context, g *engine.Generation, path engine.Path, input ast.Value, lenient bool) (ast.Value, error) {
	d := &Decision{Path: path, HasInput: input != nil, Lenient: lenient}
	if input != nil {
		var err error
		if d.Input, err = engine.InputJSON(input); err != nil {
			return nil, fmt.Errorf("evaluate %s: the input: %w", path, err)
		}
	}
	a, err := p.evaluate(ctx, g, &Question{Decision: d})
	switch {
	case err != nil:
		return nil, fmt.Errorf("evaluate %s: %w", path, err)
	case a.Failure != nil:
		return nil, a.Failure.error()
	case len(a.Result) == 0:
		return nil, nil
	}
	value, err := engine.ParseJSON(a.Result)
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: the result of another process: %w", path, err)
	}
	return value, nil
}

// decide is a decision in the process that makes it.
func decide(ctx context.Context, g *engine.Generation, d *Decision, a *Answer) error {
	var input ast.Value
	if d.HasInput {
		var err error
		if input, err = engine.ParseJSON(d.Input); err != nil {
			return fmt.Errorf("the input: %w", err)
		}
	}
	evaluate := g.Evaluate
	if d.Lenient {
		evaluate = g.EvaluateLenient
	}
	value, err := evaluate(ctx, d.Path, input)
	if err == nil && value != nil {
		a.Result, err = g.AppendJSON(nil, value)
	}
	if err != nil {
		a.Failure = failureOf(err)
	}
	return nil
}

// Failure is an error of an evaluation, with what callers tell it from others by.
type Failure struct {
	Text   string
	Kind   int    // one more than the index in kinds; 0: none of them
	Policy []byte // the [topdown.Error] that it wraps, as JSON; empty: none
}

var kinds = []error{engine.ErrDecisionTimeout, engine.ErrBusy, engine.ErrPath, engine.ErrAnswerTooLong}

func failureOf(err error) *Failure {
	f := &Failure{Text: err.Error()}
	for i, kind := range kinds {
		if errors.Is(err, kind) {
			f.Kind = i + 1
		}
	}
	if policy := (*topdown.Error)(nil); errors.As(err, &policy) {
		f.Policy, _ = json.Marshal(policy) // without it, the text says the same
	}
	return f
}

// error is the error that failureOf read, as far as callers can tell.
func (f *Failure) error() error {
	failed := &failedElsewhere{text: f.Text}
	if f.Kind > 0 && f.Kind <= len(kinds) {
		failed.wraps = append(failed.wraps, kinds[f.Kind-1])
	}
	if policy := new(topdown.Error); len(f.Policy) > 0 && json.Unmarshal(f.Policy, policy) == nil {
		failed.wraps = append(failed.wraps, policy)
	}
	return failed
}

type failedElsewhere struct {
	text  string
	wraps []error
}

// Error is the text that the error had in the other process.
func (e *failedElsewhere) Error() string { return e.text }

// Unwrap returns what it wrapped there.
func (e *failedElsewhere) Unwrap() []error { return e.wraps }
