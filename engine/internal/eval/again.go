package eval

import (
	"context"
	"fmt"
	"time"

	"defenseclaw/engine/internal/contain"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// Circumstances are those of a decision that is made again, and what is recorded of it. The zero value is a decision that
// is made now. One is for one evaluation.
type Circumstances struct {
	// Time is what the clock of the policy says; zero: now.
	Time time.Time
	// ND are the results that builtins that are not deterministic had. The evaluation adds those that it finds missing.
	// nil: each call has a result of its own.
	ND builtins.NDBCache
	// Lenient says that a builtin that fails is undefined.
	Lenient bool
	// Tracer is told each step; nil: nothing is.
	Tracer topdown.QueryTracer
	// EveryClause says that no clause is left out because another has the value already, or an index excludes it.
	EveryClause bool
}

// Again is [Evaluator.Evaluate] under other circumstances: always by OPA's evaluator, and in no slot of the limiter.
func (e *Evaluator) Again(ctx context.Context, path Path, input *Input, c Circumstances) (value ast.Value, err error) {
	defer contain.Panic("evaluate "+path.String(), &err)
	p, err := e.plan(path)
	if err != nil {
		return nil, err
	}
	term, err := input.asTerm()
	if err != nil {
		return nil, err
	}
	limit := e.newDeadline(ctx)
	if c.Time.IsZero() {
		c.Time = limit.begun
	}
	query := p.query.newQuery(e).WithInput(term).WithCancel(limit).WithTime(c.Time).WithStrictBuiltinErrors(!c.Lenient).
		WithNDBuiltinCache(c.ND).WithIndexing(!c.EveryClause).WithEarlyExit(!c.EveryClause)
	if c.Tracer != nil {
		query = query.WithQueryTracer(c.Tracer)
	}
	err = query.Iter(ctx, func(found topdown.QueryResult) error {
		value = found[planValue].Value
		return nil
	})
	switch {
	case topdown.IsCancel(err):
		return nil, fmt.Errorf("evaluate %s: %w: %w", path, ErrTimeout, limit.cause())
	case err != nil:
		return nil, fmt.Errorf("evaluate %s: %w", path, err)
	}
	return value, nil
}
