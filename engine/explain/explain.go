// Package explain evaluates one document of a policy, and says why it has its value and which lines that took. Most
// callers need [Evaluate]; [Find] lists what there is to evaluate.
//
// # What is promised
//
//   - The result is that of a decision: OPA's evaluator makes it, with its rule index and early exit. Programs, which decide
//     more often than not, give the same.
//   - An explanation is made by a second evaluation, which tries every rule: a decision leaves out the rules that its index
//     excludes, and the rest once one has given the value, and so would say nothing about them.
//   - A line is covered only where the decision evaluated it. What the rule index found to be false, and what was not needed,
//     is told apart by evaluations without them: see [Lines].
//   - What is kept of an evaluation is bounded by the text of the policy and by [MaxReasons], not by how long it takes.
//
// What the policy prints goes to the printer of the context, once: see [engine.WithPrinter].
//
// Nothing here counts as a decision, and everything is safe for concurrent use.
package explain

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/internal/turns"

	"github.com/open-policy-agent/opa/v1/ast"
)

// DefaultMaxSteps is the default of [Options].MaxSteps: seconds of work.
const DefaultMaxSteps = 1_000_000

// ErrNoDocument is wrapped where neither a rule nor data exists at a path.
var ErrNoDocument = errors.New("neither a rule nor data exists")

// Options say how [Evaluate] evaluates, and what it returns in addition to the result.
type Options struct {
	Explain  bool // the rules that fired and the conditions that failed
	Coverage bool // the lines that were evaluated, and those that were not
	Strict   bool // an error of a builtin is an error; without it, what called the builtin is undefined

	At       time.Time     // what the clock of the policy says; zero: now
	Timeout  time.Duration // of each of at most five evaluations; 0: the generation's
	MaxSteps int           // of an evaluation that is explained; 0: [DefaultMaxSteps]
}

// Answer is the value of a document and the reasons for it.
type Answer struct {
	Defined bool
	Result  json.RawMessage // nil where it is not defined
	Took    time.Duration   // of the evaluation of a query that was ready, by OPA's evaluator
	Failed  error           // of the policy: two rules in conflict, a builtin, the timeout; there is no result

	Reasons     []Reason
	MoreReasons bool             // there are more than are listed
	Lines       map[string]Lines // of the files that the evaluation reached
	Incomplete  string           // why Reasons and Lines do not tell of all; empty: they do
}

// Evaluate evaluates the document at path with an input of JSON, or nil for none. An error is the input's, ctx's, wraps
// [engine.ErrPath] or [ErrNoDocument], or is a crash ([engine.IsCrash]).
func Evaluate(ctx context.Context, g *engine.Generation, path engine.Path, input json.RawMessage, options Options) (Answer, error) {
	var value ast.Value
	if input != nil {
		var err error
		if value, err = engine.ParseJSON(input); err != nil {
			return Answer{}, fmt.Errorf("the input: %w", err)
		}
	}
	e := evaluation{g: g, path: path, input: value, options: options}
	e.run = func(ctx context.Context, o engine.Observation) error {
		_, err := g.Observe(ctx, path, value, o)
		return err
	}
	answer, err := e.decide(ctx)
	if err != nil || !options.Explain && !options.Coverage {
		return answer, err
	}
	e.explain(ctx, &answer)
	return answer, ctx.Err()
}

// Query says of a query, which p is, what [Evaluate] says of a document: reasons and lines, no result. Conditions of the query
// itself have no place in a file, and are left out. Strict of the options is what the query was prepared with.
func Query(ctx context.Context, g *engine.Generation, p *engine.Prepared, input ast.Value, options Options) (answer Answer, err error) {
	e := evaluation{g: g, input: input, options: options}
	e.run = func(ctx context.Context, o engine.Observation) error {
		_, err := p.Eval(ctx, input, o)
		return err
	}
	e.explain(ctx, &answer)
	return answer, ctx.Err()
}

// explain fills in what the options ask for besides the result.
func (e *evaluation) explain(ctx context.Context, answer *Answer) {
	g, value, options := e.g, e.input, e.options
	every := newTrace(g, value, options.Explain)
	answer.Incomplete = e.observe(ctx, every, engine.Observation{EveryRule: true})
	if options.Explain {
		answer.Reasons, answer.MoreReasons = every.explained()
	}
	if options.Coverage {
		decision, noIndex := newTrace(g, value, false), newTrace(g, value, false)
		answer.Incomplete = cmp.Or(answer.Incomplete, e.observe(ctx, decision, engine.Observation{}))
		answer.Incomplete = cmp.Or(answer.Incomplete, e.observe(ctx, noIndex, engine.Observation{NoIndex: true}))
		answer.Lines = linesOf(g, reaches{decision.reached, noIndex.reached, every.reached})
	}
}

// evaluation is what all evaluations of one [Evaluate] have in common.
type evaluation struct {
	g       *engine.Generation
	path    engine.Path
	input   ast.Value
	options Options
	run     func(ctx context.Context, o engine.Observation) error
}

func (e *evaluation) timeout() time.Duration { return cmp.Or(e.options.Timeout, e.g.Timeout()) }

// warmUp is how long the first evaluation may take to be made again: it prepares the query, which decisions find ready.
const warmUp = 20 * time.Millisecond

// decide evaluates as a decision does, untraced.
func (e *evaluation) decide(ctx context.Context) (Answer, error) {
	var answer Answer
	var value ast.Value
	var err error
	for _, ctx := range [...]context.Context{ctx, engine.WithPrinter(ctx, nil)} { // the second time, it has printed
		bounded, cancel := context.WithTimeout(ctx, e.timeout())
		begun := time.Now()
		value, err = e.g.Observe(bounded, e.path, e.input, engine.Observation{Lenient: !e.options.Strict, At: e.options.At})
		answer.Took = time.Since(begun)
		cancel()
		if err != nil || answer.Took > warmUp {
			break
		}
	}
	switch {
	case err == nil && value == nil && !e.g.HasRules(e.path):
		return answer, fmt.Errorf("%w at %s", ErrNoDocument, e.path)
	case err == nil && value == nil:
		return answer, nil
	case err == nil:
		answer.Defined = true
		if answer.Result, err = e.g.AppendJSON(nil, value); err != nil {
			answer = Answer{Took: answer.Took, Failed: err}
		}
		return answer, nil
	case ctx.Err() != nil, engine.IsCrash(err), errors.Is(err, engine.ErrPath), errors.Is(err, engine.ErrBusy):
		return answer, err
	}
	answer.Failed = err
	return answer, nil
}

var errSteps = errors.New("too many steps")

// observe evaluates for a trace, and says why the trace does not have all: empty where it does.
func (e *evaluation) observe(ctx context.Context, t *trace, how engine.Observation) (incomplete string) {
	bounded, cancel := context.WithTimeout(engine.WithPrinter(ctx, nil), e.timeout())
	defer cancel()
	bounded, t.end = context.WithCancelCause(bounded)
	defer t.end(nil)
	t.turns = turns.With(bounded)
	t.left = cmp.Or(e.options.MaxSteps, DefaultMaxSteps)
	how.Lenient, how.At, how.Steps = !e.options.Strict, e.options.At, t
	err := e.run(bounded, how)
	switch {
	case t.left < 0:
		return fmt.Sprintf("the explanation ends after %d steps of the evaluation", cmp.Or(e.options.MaxSteps, DefaultMaxSteps))
	case err == nil:
		return ""
	case errors.Is(err, engine.ErrDecisionTimeout):
		return fmt.Sprintf("the explanation ends after %s", e.timeout())
	default:
		return fmt.Sprintf("the explanation ends at an error: %s", err)
	}
}
