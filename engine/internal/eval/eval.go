package eval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"defenseclaw/engine/internal/compile"
	"defenseclaw/engine/internal/contain"
	compiled "defenseclaw/engine/internal/eval/plan"
	"defenseclaw/engine/internal/eval/plan/value"
	"defenseclaw/engine/internal/jsonast"
	"defenseclaw/engine/internal/store"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"
)

// DefaultTimeout bounds a decision whose context has no deadline.
const DefaultTimeout = time.Second

// Errors that callers distinguish. Package engine exports them.
var (
	ErrTimeout = errors.New("the decision took too long")
	ErrPath    = errors.New("the path is no Rego reference")

	// ErrPathTypes is wrapped where the types of the rules rule out that there ever is a document at the path.
	ErrPathTypes = errors.New("the rules can have no such document")
	ErrTooLong   = jsonast.ErrTooLong
)

// Path names a document under data: {"a", "b"} is data.a.b.
type Path []string

// String is the path as a Rego reference.
func (p Path) String() string { return p.Ref().String() }

// key distinguishes paths whose parts hold dots or slashes. A part that holds the separator itself can give two
// paths one key, so what is found by it has to be compared.
func (p Path) key() string { return strings.Join(p, "\x00") }

// Ref is the path as a Rego reference. A whole number is an index, as in OPA's server.
func (p Path) Ref() ast.Ref {
	ref := make(ast.Ref, 1, len(p)+1)
	ref[0] = ast.DefaultRootDocument
	for _, name := range p {
		if i, ok := util.Atoi64(name); ok {
			ref = append(ref, ast.InternedTerm(i))
		} else {
			ref = append(ref, ast.InternedTerm(name))
		}
	}
	return ref
}

// Mode says what an error of a builtin does.
type Mode uint8

const (
	// Strict makes it the error of the decision, which must not depend on a rule that could not be evaluated.
	Strict Mode = iota
	// Lenient makes what called the builtin undefined, as OPA does. An operand over a limit of ours stays an
	// error, as a deadline does: OPA would have had an answer.
	Lenient

	modes
)

// Config says how an Evaluator decides. The zero value bounds nothing but the time of a decision.
type Config struct {
	Limiter *Limiter      // shared by generations; nil: any number of decisions at once
	Timeout time.Duration // bounds a decision whose context has no deadline; 0: [DefaultTimeout]

	// Capped makes Timeout bound decisions whose context has a later deadline, too. It counts while the process has a processor.
	Capped bool

	// TimeoutNow holds, in nanoseconds, what replaces Timeout. Generations share it, so that a setting can change
	// without a new one. nil: Timeout stays.
	TimeoutNow *atomic.Int64

	MaxAnswerBytes int // that callers may make of one document; 0: any number

	// AwaitAbandoned says that the caller of an evaluation that cannot be interrupted waits for it, past its
	// deadline: where another process ends this one, a caller that left would hide what hangs.
	AwaitAbandoned bool

	// OnAsked is called when a path is first asked for, and must not block. nil: nothing is called.
	OnAsked func(Path)

	// OnHot is called for a path that has been asked for ProgramAfter times; it must not block.
	// nil: nothing is called.
	OnHot func(*Evaluator, Path)

	NoPrograms       bool             // decide by OPA's evaluator alone
	MaxDecisionBytes int64            // that a program may use for one decision; 0: [DefaultMaxDecisionBytes]
	Shadow           float64          // the share of the decisions of programs that are made by OPA's evaluator as well; 1: see shadowsAll
	OnDifference     func(Difference) // is told where the two differ; nil: nothing is called
	Counts           *ProgramCounts   // nil: its own
}

// DefaultMaxDecisionBytes is the default of [Config].MaxDecisionBytes.
const DefaultMaxDecisionBytes = 256 << 20

func (c *Config) maxDecisionBytes() int64 { return cmp.Or(c.MaxDecisionBytes, DefaultMaxDecisionBytes) }

// Evaluator decides by one policy and its data. Only its plans grow. Safe for concurrent use. It starts no
// goroutine and needs no closing: when the last decision that uses it has ended, the collector takes it.
type Evaluator struct {
	policy *compile.Policy
	data   *store.Store
	cfg    Config
	plans  plans
	frozen *value.Freezer // what programs need of the data; of the goroutine that makes them
}

// New makes the evaluator of a policy and its data. They must belong together: the policy was compiled against
// the data, so that no rule and no document share a place.
func New(policy *compile.Policy, data *store.Store, cfg Config) *Evaluator {
	if cfg.TimeoutNow == nil {
		cfg.TimeoutNow = new(atomic.Int64)
		cfg.TimeoutNow.Store(int64(cmp.Or(cfg.Timeout, DefaultTimeout)))
	}
	if cfg.Counts == nil {
		cfg.Counts = &ProgramCounts{}
	}
	return &Evaluator{policy: policy, data: data, cfg: cfg, plans: plans{mu: &sync.Mutex{}}, frozen: value.NewFreezer(nil)}
}

// Timeout bounds a decision whose context has no deadline.
func (e *Evaluator) Timeout() time.Duration { return time.Duration(e.cfg.TimeoutNow.Load()) }

// MaxAnswerBytes bounds the text that callers make of one document.
func (e *Evaluator) MaxAnswerBytes() int { return cmp.Or(e.cfg.MaxAnswerBytes, math.MaxInt) }

// AwaitsAbandoned is the field of [Config].
func (e *Evaluator) AwaitsAbandoned() bool { return e.cfg.AwaitAbandoned }

// Evaluate evaluates the document at path with input; nil is none. The value is nil where the document is
// undefined, which is no error. It must not be changed: it may share parts with the data. The error is the
// policy's (a builtin that failed if mode is [Strict], a conflict between rules), ctx's, or wraps [ErrTimeout],
// [ErrBusy] or [ErrPath].
func (e *Evaluator) Evaluate(ctx context.Context, path Path, input ast.Value, mode Mode) (ast.Value, error) {
	r, err := e.decide(ctx, path, decision{input: InputOf(input), mode: mode})
	if err != nil {
		return nil, err
	}
	return r.Value, nil
}

// Append is [Evaluator.Evaluate] with the document appended to a text, as [jsonast.Append] writes it. defined is
// false where the document is undefined, and then nothing is appended. The error of a text of more than MaxAnswerBytes
// is [ErrTooLong]; the document is defined then.
func (e *Evaluator) Append(
	ctx context.Context, to []byte, path Path, input *Input, mode Mode,
) (text []byte, defined bool, err error) {
	// The limit is the answer's, and what stands before it is the caller's.
	limit := e.MaxAnswerBytes()
	if limit < math.MaxInt-len(to) {
		limit += len(to)
	}
	r, err := e.decide(ctx, path, decision{input: input, mode: mode, form: compiled.AsText, to: to, maxBytes: limit})
	switch {
	case err != nil:
		return to, r.Defined, err
	case r.Value != nil: // OPA's evaluator made it, or a program whose answer was compared with its
		text, err = jsonast.Append(to, r.Value, limit)
		return text, true, err
	case !r.Defined:
		return to, false, nil
	}
	return r.Text, true, nil
}

// Plain is [Evaluator.Evaluate] with the document as ast.JSON's types. plain makes them of a value of OPA's, and refuses one
// of more than MaxAnswerBytes, each value in it counted with some bytes more; so does a program, by [ErrTooLong].
func (e *Evaluator) Plain(
	ctx context.Context, path Path, input *Input, mode Mode, each int, plain func(ast.Value) (any, error),
) (v any, defined bool, err error) {
	r, err := e.decide(ctx, path, decision{input: input, mode: mode, form: compiled.AsPlain, maxBytes: e.MaxAnswerBytes(), each: each})
	switch {
	case err != nil:
		return nil, false, err
	case r.Value != nil:
		v, err = plain(r.Value)
		return v, err == nil, err
	}
	return r.Plain, r.Defined, nil
}

// decision is what one decision is made of, and as what.
type decision struct {
	input *Input
	mode  Mode
	limit *deadline

	// A program makes what is asked for. What it leaves to OPA's evaluator, or is compared with that, is a value all the
	// same: the caller finds one or the other.
	form     compiled.Form
	to       []byte
	maxBytes int
	each     int
}

// call is what a program is asked.
func (d *decision) call(ctx context.Context, budget int64) compiled.Call {
	c := compiled.Call{
		Context: ctx, Cancel: d.limit, Time: d.limit.begun, Strict: d.mode == Strict, Budget: budget,
		Form: d.form, To: d.to, MaxBytes: d.maxBytes, Each: d.each,
	}
	// The text comes first, even if someone has asked for the value since: the program may need little of it.
	switch in := d.input; {
	case in == nil:
	case in.text != nil:
		if c.Text = in.text; in.base != nil {
			c.Base = in.base.text
		}
	case in.plain != nil:
		c.Plain = in.plain
	default:
		c.Input = in.term
	}
	return c
}

// decide makes one decision by a program or by OPA's evaluator, in a slot of the limiter.
func (e *Evaluator) decide(ctx context.Context, path Path, d decision) (r compiled.Result, err error) {
	defer func() { // not contain.Panic, whose text would be made for every decision
		if v := recover(); v != nil {
			err = contain.Recovered("evaluate "+path.String(), v)
		}
	}()
	// Preparing is done before a slot is taken: the slots bound what a policy computes, and the lock in plan
	// already lets one preparation run at a time.
	plan, err := e.plan(path)
	if err != nil {
		return r, err
	}
	if e.countUse(plan) == 1 && e.cfg.shadowsAll() && e.Planned(path) {
		_ = e.Compile(ctx, path) // the reason is kept with the plan
	}
	share, err := e.cfg.Limiter.enter(ctx, plan.quota, e.Timeout())
	if err != nil {
		return r, fmt.Errorf("evaluate %s: %w", path, err)
	}
	defer e.cfg.Limiter.leave(share)
	// The timeout begins now. The limiter has bounded the time that was spent waiting for a slot.
	d.limit = e.newDeadline(ctx)
	r, ok, err := e.byProgram(ctx, plan, &d)
	if !ok {
		r, err = e.byOPA(ctx, plan, &d)
	}
	switch {
	// A text that is too long says nothing about the policy: a second evaluation could not explain it.
	case err == nil || errors.Is(err, jsonast.ErrTooLong):
		return r, err
	case topdown.IsCancel(err):
		return r, fmt.Errorf("evaluate %s: %w: %w", path, ErrTimeout, d.limit.cause())
	default:
		v, err := plan.explainError(ctx, d.input.Value(), d.mode, d.limit.at, err)
		return compiled.Result{Value: v}, err
	}
}

// byOPA decides by OPA's evaluator.
func (e *Evaluator) byOPA(ctx context.Context, p *plan, d *decision) (compiled.Result, error) {
	input, err := d.input.asTerm()
	if err != nil {
		return compiled.Result{}, err
	}
	v, err := p.query.evaluate(ctx, e, input, d.limit, d.mode)
	return compiled.Result{Value: v}, err
}

// explainError evaluates once more what failed, with OPA's own preparation, so that the error has a stack and
// the text of the query. Decisions that go well do not pay for it. The answer of the second evaluation counts,
// should it succeed: a builtin that is not deterministic may have failed by chance.
func (p *plan) explainError(
	ctx context.Context, input ast.Value, mode Mode, until time.Time, first error,
) (ast.Value, error) {
	ctx, cancel := context.WithDeadline(WithPrinter(ctx, nil), until) // it has printed
	defer cancel()
	value, err := p.observe(ctx, input, mode)
	if topdown.IsCancel(err) {
		err = first
	}
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", p.path, err)
	}
	return value, nil
}

// EnterAdHoc prepares an evaluation that has no plan, such as a query that a caller wrote: it sets the deadline and
// takes a slot of the quota that all such evaluations share. The caller calls end when it is over. An error
// wraps [ErrBusy] or [ErrTimeout].
func (e *Evaluator) EnterAdHoc(ctx context.Context) (_ context.Context, end func(), err error) {
	// What has no plan is evaluated by package rego, which knows no deadline of ours but the context's.
	cancel := func() {}
	if e.cfg.Capped {
		ctx, cancel = e.capped(ctx)
	} else if _, ok := ctx.Deadline(); !ok {
		ctx, cancel = context.WithTimeout(ctx, e.Timeout())
	}
	quota := e.cfg.Limiter.adHocQuota()
	share, err := e.cfg.Limiter.enter(ctx, quota, e.Timeout())
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return ctx, func() {
		e.cfg.Limiter.leave(share)
		cancel()
	}, nil
}

// AsTimeout is for evaluations that [Evaluator.EnterAdHoc] prepared: it returns err, or what wraps [ErrTimeout] if the
// evaluation ended because ctx did.
func AsTimeout(ctx context.Context, err error) error {
	if topdown.IsCancel(err) {
		return fmt.Errorf("%w: %w", ErrTimeout, context.Cause(ctx))
	}
	return err
}
