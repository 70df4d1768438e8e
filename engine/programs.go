package engine

import (
	"context"

	"defenseclaw/engine/internal/eval"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Way says how the decisions of a path are made: by a program, or by OPA's evaluator and why.
type Way = eval.Way

// Difference is a decision for which a program and OPA's evaluator had different answers. OPA's was given.
type Difference = eval.Difference

// Ways says how the paths are decided that this generation was asked for, the most asked for first.
func (g *Generation) Ways() []Way { return g.evaluator.Ways() }

// ProgramCounts are the decisions of programs since the engine was made.
type ProgramCounts struct {
	Decisions uint64 // that a program was asked for
	Asked     uint64 // of them, those that it left to OPA's evaluator
	Compared  uint64 // and those that were made in both ways
	Differed  uint64 // with another answer
}

// ProgramCounts counts over all generations.
func (e *Engine) ProgramCounts() ProgramCounts {
	return ProgramCounts{
		Decisions: e.counts.Decisions.Load(), Asked: e.counts.Asked.Load(),
		Compared: e.counts.Compared.Load(), Differed: e.counts.Differed.Load(),
	}
}

// SideBySide is one decision made by a program and by OPA's evaluator, each several times.
type SideBySide = eval.SideBySide

// SideBySide makes a decision in both ways, and a program for it where there is none. lenient is as in
// [Generation.EvaluateLenient]. The error is about the path, wraps [ErrDecisionTimeout] or is ctx's; an error of the
// policy is a part of the answer.
func (g *Generation) SideBySide(ctx context.Context, path Path, input ast.Value, lenient bool) (SideBySide, error) {
	mode := eval.Strict
	if lenient {
		mode = eval.Lenient
	}
	return g.evaluator.SideBySide(ctx, eval.Path(path), input, mode)
}
