package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"defenseclaw/engine/internal/contain"
	compiled "defenseclaw/engine/internal/eval/plan"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// SideBySide is one decision made by a program and by OPA's evaluator.
type SideBySide struct {
	// Why there is no program, or why it leaves this decision to OPA's evaluator; empty: it decides.
	Why string
	// Making is how long the program took to make; zero: there was one.
	Making time.Duration
	// Program and OPA are medians of several decisions each, the first of them left out. That of the program is zero where
	// it does not decide.
	Program, OPA time.Duration
	// Equal reports whether both gave one value. It is true where the program does not decide, and where a builtin gives
	// another value each time.
	Equal bool
	// ByProgram and ByOPA are the values; nil: undefined. Err is the error of OPA's evaluator.
	ByProgram, ByOPA ast.Value
	Err              error
}

const (
	// sideRounds is how often each side decides; it has to be odd for the median to be one of them.
	sideRounds = 31
	// sidePatience bounds the rounds of one side, so that a slow decision is measured as well.
	sidePatience = 500 * time.Millisecond
)

// SideBySide makes a decision by a program, which it makes where there is none, and by OPA's evaluator. The error is
// about the path, or ctx's: that of the decision is a part of the answer.
func (e *Evaluator) SideBySide(ctx context.Context, path Path, input ast.Value, mode Mode) (_ SideBySide, err error) {
	defer contain.Panic("evaluate "+path.String(), &err)
	p, err := e.plan(path)
	if err != nil {
		return SideBySide{}, err
	}
	ctx = WithPrinter(ctx, nil) // or each round would print
	// Both sides are given the value, not its text: how long the text takes to read depends on who reads it, and is not
	// what an author can change.
	var term *ast.Term
	if input != nil {
		term = ast.NewTerm(input)
	}
	s := SideBySide{Equal: true}
	// OPA's evaluator comes first. Its answer is what counts, and a path that cannot be planned has one all the same.
	s.OPA, err = medianOf(ctx, func() error {
		// A deadline of its own for each call: all of them together may take longer than one decision.
		limit := e.newDeadline(ctx)
		s.ByOPA, s.Err = p.query.evaluate(ctx, e, term, limit, mode)
		return endedBy(s.Err, limit)
	})
	if err != nil {
		return s, fmt.Errorf("evaluate %s: %w", path, err)
	}
	begun := time.Now()
	if p.program.Load() == nil {
		if s.Why = reasonOf(e.Compile(ctx, path)); s.Why != "" {
			return s, nil
		}
		s.Making = time.Since(begun)
	}
	t := p.program.Load()
	// Compile makes none, and says nothing, where programs are off.
	if t == nil {
		s.Why = "programs are off"
		return s, nil
	}
	return s, e.programBeside(ctx, t, term, mode, &s)
}

func (e *Evaluator) programBeside(ctx context.Context, t *program, input *ast.Term, mode Mode, s *SideBySide) error {
	// A program that leaves the decision to OPA's evaluator does so each time, but for a budget that is used up by what only
	// the first call makes. So the last call says why.
	var asks error
	took, err := medianOf(ctx, func() error {
		limit := e.newDeadline(ctx)
		s.ByProgram, _, asks = t.run.Evaluate(compiled.Call{
			Context: ctx, Input: input, Cancel: limit, Time: limit.begun, Strict: mode == Strict, Budget: e.cfg.maxDecisionBytes(),
		})
		if errors.Is(asks, compiled.ErrCancelled) {
			return fmt.Errorf("%w: %w", ErrTimeout, limit.cause())
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("evaluate by a program: %w", err)
	case asks != nil:
		s.Why = asks.Error()
		return nil //nolint:nilerr // a program that leaves the decision is an answer
	}
	s.Program = took
	// An error of OPA's evaluator that the program does not meet is a difference too.
	s.Equal = t.run.Varies || s.Err == nil && sameValue(s.ByProgram, s.ByOPA)
	return nil
}

// reasonOf is the text of an error, and empty for none: a program that cannot be made is an answer, not a failure.
func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// endedBy tells a deadline from errors of the policy, which are part of the answer.
func endedBy(err error, limit *deadline) error {
	if topdown.IsCancel(err) {
		return fmt.Errorf("%w: %w", ErrTimeout, limit.cause())
	}
	return nil
}

// medianOf calls f again and again and returns the median time of a call. The first call is left out where there are
// more: it makes what the next ones find.
func medianOf(ctx context.Context, f func() error) (time.Duration, error) {
	var times []time.Duration
	for begun := time.Now(); len(times) <= sideRounds && (len(times) == 0 || time.Since(begun) < sidePatience); {
		if err := ctx.Err(); err != nil {
			return 0, context.Cause(ctx)
		}
		start := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(start))
	}
	// The first call prepares what later ones find, and would not be typical of a path that is asked for often.
	times = times[min(1, len(times)-1):]
	slices.Sort(times)
	return times[len(times)/2], nil
}
