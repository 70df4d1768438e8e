package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"defenseclaw/engine/internal/store"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// maxPlans bounds the prepared queries of a generation: paths come from callers, and a hostile one can think
// of many. Other paths are prepared for each decision.
const maxPlans = 4096

// plans are the prepared queries of one generation, made when first asked for. They are the only part of a
// generation that grows.
type plans struct {
	byPath sync.Map // string → *plan
	count  atomic.Int64

	making   sync.Mutex   // one program at a time; a decision holds it where all are made twice
	programs atomic.Int64 // how many there are
	mu       *sync.Mutex  // one preparation at a time: a burst after a reload prepares each path once
}

// plan is a path that is ready to be evaluated.
type plan struct {
	path Path

	query     *prepared               // of OPA's evaluator
	program   atomic.Pointer[program] // decides instead of it; nil: there is none
	noProgram atomic.Pointer[string]  // why there is none

	quota *quota // of the slots for decisions; nil where nothing bounds them
	uses  atomic.Uint64

	// observed are prepared when they are first needed. They keep the locations that traces and errors name.
	observed [modes]func() (*rego.PreparedEvalQuery, error)
}

// get returns the plan of a path, nil if there is none. Its key may be that of another path (see [Path.key]), one
// with a part that no reference can have; without the comparison it would be answered, and not refused.
func (p *plans) get(key string, path Path) *plan {
	if found, ok := p.byPath.Load(key); ok {
		if one := found.(*plan); slices.Equal(one.path, path) { //nolint:errcheck,forcetypeassert // nothing else is stored
			return one
		}
	}
	return nil
}

// planValue is the variable of a plan's query that is bound to the document.
const planValue = ast.Var("value")

// plan finds or makes the plan of a path. A one-entry cache in front of the map was tried: it saved one
// allocation of 46 and less than a hundredth of a decision's time (BenchmarkEvaluate/Small), and went.
func (e *Evaluator) plan(path Path) (*plan, error) {
	key := path.key()
	if p := e.plans.get(key, path); p != nil {
		return p, nil
	}
	// Those that waited for the lock find the plan that the first of them made.
	e.plans.mu.Lock()
	defer e.plans.mu.Unlock()
	if p := e.plans.get(key, path); p != nil {
		return p, nil
	}
	p, err := e.newPlan(path)
	if err != nil {
		return nil, err
	}
	// Beyond the bound a path still gets its answer, from a plan that is dropped after it, and never a program. Which paths are kept is decided by who came first: no decision pays for evicting one.
	if e.plans.count.Load() < maxPlans {
		e.plans.byPath.Store(key, p)
		e.plans.count.Add(1)
		if e.cfg.OnAsked != nil {
			e.cfg.OnAsked(path)
		}
	}
	return p, nil
}

// newPlan checks and prepares a path. Its error wraps [ErrPath] if the path is no reference, or
// [ErrPathTypes] and OPA's.
func (e *Evaluator) newPlan(path Path) (*plan, error) {
	// Its text is needed for traces and errors only, and parsing it takes a third of the time of a plan. Names of letters
	// are a reference whatever the parser says.
	parse := sync.OnceValues(func() (ast.Body, error) {
		query, err := ast.ParseBody(path.String())
		if err != nil {
			return nil, fmt.Errorf("%w: %q", ErrPath, []string(path))
		}
		return query, nil
	})
	if slices.ContainsFunc(path, isUnusual) {
		if _, err := parse(); err != nil {
			return nil, err
		}
	}
	ref := path.Ref()
	if err := e.policy.CheckPath(ref); err != nil {
		query, _ := parse()
		return nil, fmt.Errorf("prepare %s: %w", path, impossible{locate(err, query)})
	}
	p := &plan{path: path, quota: e.cfg.Limiter.newQuota()}
	for mode := range modes {
		p.observed[mode] = sync.OnceValues(func() (*rego.PreparedEvalQuery, error) {
			query, err := parse()
			if err != nil {
				return nil, err
			}
			return e.prepareObserved(path, query, mode)
		})
	}
	var err error
	if p.query, err = prepare(e.policy.Compiler(), ref); err != nil {
		if _, watchedErr := p.observed[Strict](); watchedErr != nil { // its text is about the path alone, without the "= value" of ours
			err = watchedErr
		}
		var wrong ast.Errors
		if errors.As(err, &wrong) && !slices.ContainsFunc(wrong, func(e *ast.Error) bool { return e.Code != ast.TypeErr }) {
			err = impossible{err}
		}
		return nil, err
	}
	return p, nil
}

// impossible is an [ErrPathTypes] with the text of its cause.
type impossible struct{ error }

// Is makes it an [ErrPathTypes].
func (impossible) Is(target error) bool { return target == ErrPathTypes }

// Unwrap returns OPA's error.
func (e impossible) Unwrap() error { return e.error }

// isUnusual reports whether a part of a path is more than letters, digits and underscores.
func isUnusual(part string) bool {
	return strings.ContainsFunc(part, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	})
}

// prepareObserved uses package rego, which does more for each evaluation than topdown alone, and has what traces
// need: instrumentation, locations, a stack in each error.
func (e *Evaluator) prepareObserved(path Path, query ast.Body, mode Mode) (*rego.PreparedEvalQuery, error) {
	prepared, err := rego.New(
		rego.ParsedQuery(query),
		rego.Compiler(e.policy.Compiler()),
		rego.Store(e.data),
		rego.Transaction(store.Txn{}),
		rego.StrictBuiltinErrors(mode == Strict),
		rego.StackTraces(true),
		rego.SetRegoVersion(ast.RegoV1),
	).PrepareForEval(context.Background())
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", path, err)
	}
	return &prepared, nil
}

// countUse is exact under concurrency: one caller alone sees each number, so OnHot is called once.
func (e *Evaluator) countUse(p *plan) uint64 {
	n := p.uses.Add(1)
	if n == ProgramAfter && e.cfg.OnHot != nil {
		e.cfg.OnHot(e, p.path)
	}
	return n
}

// Planned reports whether the path's query is prepared.
func (e *Evaluator) Planned(path Path) bool {
	return e.plans.get(path.key(), path) != nil
}

// Observe is [Evaluator.Evaluate] with OPA's own preparation of the query, which leaves traces and measures
// itself as the options say. The caller calls [Evaluator.EnterAdHoc] before.
func (e *Evaluator) Observe(
	ctx context.Context, path Path, input ast.Value, mode Mode, options ...rego.EvalOption,
) (ast.Value, error) {
	plan, err := e.plan(path)
	if err != nil {
		return nil, err
	}
	value, err := plan.observe(ctx, input, mode, options...)
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", path, AsTimeout(ctx, err))
	}
	return value, nil
}

// observe evaluates by the query that prepareObserved made. It is never a program:
// a trace is about the source that an author wrote.
func (p *plan) observe(ctx context.Context, input ast.Value, mode Mode, options ...rego.EvalOption) (ast.Value, error) {
	watched, err := p.observed[mode]()
	if err != nil {
		return nil, err
	}
	var value ast.Value
	// The value is taken as the evaluator has it. Package rego would make Go values of it, which an answer does not
	// need and a large one pays for.
	options = append(options, rego.EvalTransaction(store.Txn{}), rego.EvalPrintHook(printHook{}), rego.EvalGenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) {
		value = t.Value
		return nil, nil //nolint:nilnil // the value is taken, its JSON is not needed
	}))
	if input != nil {
		options = append(options, rego.EvalParsedInput(input))
	}
	_, err = watched.Eval(ctx, options...)
	return value, err
}

// locate gives the errors of a check without text the location of the query: [compile.Policy.CheckPath] is given
// a reference that was made, not parsed.
func locate(err error, query ast.Body) error {
	var errs ast.Errors
	if errors.As(err, &errs) {
		for _, e := range errs {
			if e.Location == nil {
				e.Location = query.Loc()
			}
		}
	}
	return err
}
