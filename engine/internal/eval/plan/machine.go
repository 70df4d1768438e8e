package plan

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"defenseclaw/engine/internal/eval/plan/own"
	"defenseclaw/engine/internal/eval/plan/value"
	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// ErrCancelled is the error of a decision whose deadline passed or whose caller went away.
var ErrCancelled = errors.New("the evaluation was cancelled")

// ticksPerLook is how many iterations of loops lie between two looks at the deadline.
const ticksPerLook = 1024

// machine evaluates one decision at a time.
type machine struct {
	program *Program
	arena   value.Arena
	own     own.Call // what builtins of ours share
	call    Call
	memo    []remembered  // by function
	known   []int         // the functions that have one
	hints   []uint32      // by statement: where it found a member last
	joins   []*value.Node // by loop: the collection of this decision that it went through
	stack   []*value.Node
	used    int // of stack
	high    int // the most that was used of it

	ticks     int
	undefined int // builtins that failed, and were undefined for it

	ret    *value.Node // of the function that returns
	result *value.Node
	err    error

	context topdown.BuiltinContext
	ready   bool // context is made
}

// remembered is what a rule gave. A with replaces input or data, so both are compared.
type remembered struct {
	input, data, result *value.Node
	done                bool
}

func (p *Program) newMachine() *machine {
	return &machine{
		program: p, own: own.Call{Kept: &p.kept}, memo: make([]remembered, len(p.funcs)), hints: make([]uint32, p.hints),
		joins: make([]*value.Node, p.joins), stack: make([]*value.Node, 256),
	}
}

func (m *machine) run(call Call) (Result, error) {
	m.call = call
	m.arena.Reset(call.Budget)
	m.own.Begin(&m.arena, call.Cancel, call.Time)
	var input *value.Node
	switch {
	case call.Base != nil:
		input = m.arena.FromTexts(call.Base, call.Text)
	case call.Text != nil:
		input = m.arena.FromText(call.Text)
	case call.Plain != nil:
		input = m.arena.FromPlain(call.Plain)
	case call.Input != nil:
		if input = m.arena.FromAST(call.Input); input == nil {
			return Result{}, fmt.Errorf("%w: the input is not ground", ErrAsk)
		}
	}
	l := m.frame(m.program.query.locals)
	l[0], l[1] = input, m.program.data
	if end := m.program.query.body.run(m, l); end == failed {
		return Result{}, m.err
	}
	if err := m.arena.Err(); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrAsk, err)
	}
	return m.answer()
}

// answer copies the result out of the arena.
func (m *machine) answer() (result Result, err error) {
	switch {
	case m.result == nil:
		result.Text = m.call.To
		return result, nil
	case m.call.Form == AsText:
		result.Text, err = m.result.AppendJSON(m.call.To, m.call.MaxBytes)
	case m.call.Form == AsPlain:
		result.Plain, err = m.result.Plain(m.call.Each, m.call.MaxBytes)
	default:
		result.Value = m.result.Term().Value
	}
	if err != nil && !errors.Is(err, jsonast.ErrTooLong) {
		err = fmt.Errorf("%w: %w", ErrAsk, err)
	}
	result.Defined = true
	if e := m.arena.Err(); e != nil { // found while the result was made
		err = fmt.Errorf("%w: %w", ErrAsk, e)
	}
	return result, err
}

// reset keeps nothing of the decision alive. The hints stay: they are places, and tried before they are believed.
func (m *machine) reset() {
	for _, number := range m.known {
		m.memo[number] = remembered{}
	}
	clear(m.joins)
	clear(m.stack[:m.high])
	m.arena.Reset(0)
	m.own.End()
	*m = machine{
		program: m.program, arena: m.arena, own: m.own, memo: m.memo, known: m.known[:0], hints: m.hints, joins: m.joins, stack: m.stack,
	}
}

// frame makes the locals of a call. Where the stack is full there is a new one; frames that exist hold the old one.
func (m *machine) frame(n int) []*value.Node {
	if m.used+n > len(m.stack) {
		m.stack = make([]*value.Node, 2*len(m.stack)+n)
		m.used, m.high = 0, 0
	}
	l := m.stack[m.used : m.used+n : m.used+n]
	clear(l)
	m.used += n
	m.high = max(m.high, m.used)
	return l
}

// leave gives back what frame made since used of a stack of size. A stack that was made since then holds no frame
// that is still needed.
func (m *machine) leave(size, used int) {
	if len(m.stack) != size {
		used = 0
	}
	m.used = used
}

// tick is called for each iteration of a loop, and reports whether the evaluation goes on.
func (m *machine) tick() bool {
	m.ticks++
	if m.arena.Over() {
		m.err = fmt.Errorf("%w: %w", ErrAsk, ErrMemory)
		return false
	}
	if m.ticks%ticksPerLook == 0 && m.call.Cancel != nil && m.call.Cancel.Cancelled() {
		m.err = ErrCancelled
		return false
	}
	return true
}

// ask ends the evaluation, and leaves the decision to OPA's evaluator.
func (m *machine) ask(why string) int {
	m.err = fmt.Errorf("%w: %s", ErrAsk, why)
	return failed
}

// builtinContext is made once for a decision: time, seed and cache must be the same for all of its calls.
func (m *machine) builtinContext() topdown.BuiltinContext {
	if !m.ready {
		m.ready = true
		m.context = topdown.BuiltinContext{
			Context: m.call.Context, Metrics: metrics.NoOp(), Seed: rand.Reader,
			Time:   ast.NumberTerm(json.Number(strconv.FormatInt(m.call.Time.UnixNano(), 10))),
			Cancel: m.call.Cancel, Cache: builtins.Cache{},
		}
	}
	return m.context
}
