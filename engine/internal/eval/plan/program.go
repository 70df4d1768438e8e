package plan

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"defenseclaw/engine/internal/eval/plan/own"
	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// ErrAsk is wrapped by the error of a document that a program cannot decide: OPA's evaluator is to be asked.
var ErrAsk = errors.New("left to OPA's evaluator")

// ErrMemory is wrapped, with [ErrAsk], by the error of a decision over its budget.
var ErrMemory = errors.New("the decision needs more memory than a program may use")

// Program is the document at one path, compiled. Safe for concurrent use.
type Program struct {
	funcs    []*function
	query    *function
	looks    *value.Named
	named    *named
	names    names // of the data that keys of named are looked up in
	data     *value.Node
	constant []atomic.Pointer[value.Node] // by function: what a rule gives that depends on the data alone
	hints    int                          // how many statements remember where they found a member
	joins    int                          // how many loops may have an index
	machines sync.Pool
	kept     own.Kept // what builtins made of constants and data

	// Varies says that a builtin gives another answer each time, so that two evaluations may differ.
	Varies bool

	// Lenient says why the program has answers only where builtins are lenient; nil: it has them in both modes.
	Lenient error
}

// Source is what a program is made of.
type Source struct {
	Compiler *ast.Compiler // a copy for this call, with the modules that the document needs; it is changed
	Store    storage.Store
	Txn      storage.Transaction
	Data     ast.Object
	Freezer  *value.Freezer
}

// Make makes the program of the document at ref. An error says why there is none.
func Make(ctx context.Context, from Source, ref ast.Ref) (*Program, error) {
	s := &sizer{compiler: from.Compiler, sizes: map[*ast.Rule]int{}}
	rules := s.reachable(s.rulesAt(ref))
	strict, unplannable := plannable(from.Compiler, rules)
	if err := errors.Join(unplannable, hides(from.Compiler, ref), s.tooLarge(rules)); err != nil {
		return nil, err
	}
	named := namedRules(from.Compiler.Modules) // before the planner has them
	policy, err := planOf(ctx, from.Compiler, from.Store, from.Txn, ref)
	if err != nil {
		return nil, err
	}
	c, err := compileAll(policy, named)
	if err != nil {
		return nil, fmt.Errorf("compile the plan of %s: %w", ref, err)
	}
	markConstant(policy, c.program)
	c.program.looks = namedData(policy)
	c.program.Lenient = strict
	return c.program.WithData(from.Data, from.Freezer)
}

// WithData is the same program for other data: that of the next generation, whose rules are the same.
func (p *Program) WithData(root ast.Object, f *value.Freezer) (*Program, error) {
	data, err := f.Data(root, p.looks)
	if err != nil {
		return nil, fmt.Errorf("freeze the data: %w", err)
	}
	return &Program{
		funcs: p.funcs, query: p.query, looks: p.looks, named: p.named, names: p.named.in(root), data: data, hints: p.hints, joins: p.joins,
		Varies: p.Varies, Lenient: p.Lenient,
		constant: make([]atomic.Pointer[value.Node], len(p.funcs)),
	}, nil
}

// Call is what one decision is made with.
type Call struct {
	Context context.Context //nolint:containedctx // lives as long as the call
	Input   *ast.Term       // nil: none, or it is Text
	Text    *value.Text     // the input that nobody made a value of; nil: none, or it is Input
	Base    *value.Text     // what is joined with Text; nil: nothing
	Plain   any             // the input as a value for which [value.IsPlain] holds; nil: none, or it is Text or Input
	Cancel  topdown.Cancel
	Time    time.Time
	Strict  bool  // a builtin that fails is an error, not undefined
	Budget  int64 // bytes for the values that the decision makes

	Form     Form   // of the result
	To       []byte // what a text is appended to
	MaxBytes int    // that To and the text have together, or that a plain value has
	Each     int    // bytes that count for each value in a plain one, in addition to its text
}

// Form is what a document is made into.
type Form uint8

const (
	// AsValue is a value of OPA's.
	AsValue Form = iota
	// AsText is JSON.
	AsText
	// AsPlain is what ast.JSON makes of the value.
	AsPlain
)

// Result is what a document is. It refers neither to the input nor to anything of the evaluation.
type Result struct {
	Value   ast.Value // nil: undefined, or another form was asked for
	Plain   any       // where it was asked for
	Text    []byte    // [Call].To, with the document behind it
	Defined bool
	Steps   int // iterations of loops, and calls
}

// Evaluate is [Program.Run] for a call that asks for a value.
func (p *Program) Evaluate(call Call) (v ast.Value, steps int, err error) {
	r, err := p.Run(call)
	return r.Value, r.Steps, err
}

// Run evaluates the document. An error wraps [ErrAsk], or is [ErrCancelled] or jsonast.ErrTooLong: then the
// document has a value, whose text has more bytes than the call allows.
func (p *Program) Run(call Call) (result Result, err error) {
	if call.Strict && p.Lenient != nil {
		return Result{}, p.Lenient
	}
	m, ok := p.machines.Get().(*machine)
	if !ok {
		m = p.newMachine()
	}
	// A machine that panicked is not used again.
	defer func() {
		if v := recover(); v != nil {
			result, err = Result{}, fmt.Errorf("%w: a panic: %v", ErrAsk, v)
		}
	}()
	result, err = m.run(call)
	result.Steps = m.ticks
	m.reset()
	p.machines.Put(m)
	return result, err
}
