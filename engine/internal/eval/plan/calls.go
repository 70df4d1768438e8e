package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"defenseclaw/engine/internal/eval/plan/own"
	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// inputAndData are the parameters of a function that is a rule without arguments.
const inputAndData = 2

// call compiles a call of a rule, a function or a builtin.
func (c *compiler) call(s *ir.CallStmt) (op, error) {
	args, target := c.operands(s.Args), c.local(s.Result)
	fn, ok := c.byName[s.Func]
	if !ok {
		return c.builtin(s.Func, args, target)
	}
	if len(args) != fn.params {
		return nil, fmt.Errorf("%s is called with %d arguments", s.Func, len(args))
	}
	return func(m *machine, l []*value.Node) int {
		x, ok := m.callFunction(fn, l, args)
		if !ok {
			return failed
		}
		l[target] = x
		return holds(x != nil)
	}, nil
}

// callFunction returns nil for what is undefined; ok is false if the evaluation failed.
func (m *machine) callFunction(fn *function, l []*value.Node, args []operand) (x *value.Node, ok bool) {
	if !m.tick() {
		return nil, false
	}
	var known *remembered
	if fn.params == inputAndData {
		known = &m.memo[fn.number]
		input, data := args[0].of(l), args[1].of(l)
		if known.done && known.input == input && known.data == data {
			return known.result, true
		}
		if fn.constant && data == m.program.data {
			if x := m.program.constant[fn.number].Load(); x != nil {
				return x.Defined(), true
			}
		}
		if !known.done { // or it was noted
			m.known = append(m.known, fn.number)
		}
		*known = remembered{input: input, data: data}
	}
	size, used, undefined := len(m.stack), m.used, m.undefined
	own := m.frame(fn.locals)
	for i, a := range args {
		own[i] = a.of(l)
	}
	m.ret = nil
	end := fn.body.run(m, own)
	x = m.ret
	m.leave(size, used)
	if end == failed {
		return nil, false
	}
	if end != returned {
		x = nil
	}
	if known != nil {
		known.result, known.done = x, true
		if fn.constant && known.data == m.program.data && m.undefined == undefined && m.arena.Err() == nil {
			m.keep(fn, x)
		}
	}
	return x, true
}

// keep keeps what a rule gave for all decisions. One in which a builtin failed is evaluated anew: it may be an error
// of the next decision.
func (m *machine) keep(fn *function, x *value.Node) {
	if x == nil {
		m.program.constant[fn.number].Store(value.Undefined)
		return
	}
	if kept, err := value.Constant(x.Term()); err == nil {
		m.program.constant[fn.number].Store(kept)
	}
}

// callDynamic compiles a call of the rule at a place that is known only now. Where there is none, the plan goes on
// with the data. A rule that is undefined ends the reference: OPA's planner has three blocks around the call then.
func (c *compiler) callDynamic(s *ir.CallDynamicStmt) op {
	const afterReference = 4
	path, target := c.operands(s.Path), c.local(s.Result)
	args := make([]operand, len(s.Args))
	for i, a := range s.Args {
		args[i] = operand{local: c.local(a)}
	}
	return func(m *machine, l []*value.Node) int {
		var place strings.Builder
		for i, p := range path {
			x := p.of(l)
			if x == nil || x.Kind() != value.String {
				return ended
			}
			if i > 0 {
				place.WriteByte(0)
			}
			place.WriteString(x.Text())
		}
		fn := c.byPath[place.String()]
		if fn == nil {
			// OPA's planner forgets places without a rule of their own that have rules below them.
			if _, rule, _ := strings.Cut(place.String(), "\x00"); c.named.places[rule] {
				return m.ask("a place with rules below it is chosen")
			}
			return ended
		}
		if fn.params != len(args) {
			return m.ask("a function where a rule is meant")
		}
		x, ok := m.callFunction(fn, l, args)
		switch {
		case !ok:
			return failed
		case x == nil:
			return afterReference
		}
		l[target] = x
		return next
	}
}

// varies reports whether a builtin may answer differently each time that a decision is made. The time of a decision
// is part of its [Call].
func varies(decl *ast.Builtin) bool { return decl.Nondeterministic && decl.Name != ast.NowNanos.Name }

// effect is why a rule that calls a builtin for its effect has no program.
func effect(name string) error {
	if name == ast.InternalPrint.Name {
		return errors.New("its rules call print(), which OPA's evaluator makes")
	}
	return fmt.Errorf("the builtin %s has an effect", name)
}

// builtin compiles a call of a builtin: one of ours where it takes the operands, or OPA's.
func (c *compiler) builtin(name string, args []operand, target int) (op, error) {
	decl, opas := ast.BuiltinMap[name], topdown.GetBuiltin(name)
	switch {
	case decl == nil || opas == nil:
		return nil, fmt.Errorf("the builtin %s is unknown", name)
	case decl.Decl.Result() == nil:
		return nil, effect(name)
	}
	c.program.Varies = c.program.Varies || varies(decl)
	ours := own.Builtins[name]
	foreign := foreign{name: name, f: opas, relation: decl.Relation, keys: strings.HasPrefix(name, "io.jwt.")}
	do := func(m *machine, l []*value.Node) int {
		operands := m.own.Operands[:0]
		for _, a := range args {
			x := a.of(l)
			if x == nil && a.local >= inputAndData {
				return m.ask("an operand has no value") // OPA's compiler lets a few variables pass that nothing binds
			}
			if x == nil {
				return ended
			}
			if x.Partial() {
				return m.ask("a builtin is given data of which parts were left out")
			}
			operands = append(operands, x)
		}
		var x *value.Node
		if ours != nil {
			if x = ours(&m.own, operands); x == nil && m.own.Ended() {
				m.err = ErrCancelled
				return failed
			}
		}
		if x == nil {
			if x = foreign.call(m, operands); x == nil {
				if m.err != nil {
					return failed
				}
				return ended
			}
		}
		l[target] = x
		return next
	}
	if name == ast.Member.Name && len(args) == 2 {
		return c.member(args, target, do), nil
	}
	return do, nil
}

// foreign is a builtin of OPA's.
type foreign struct {
	name     string
	f        topdown.BuiltinFunc
	relation bool // it has any number of results, which become an array
	keys     bool // it verifies with keys that are kept once they are parsed
}

var errSecond = errors.New("a second result")

// call returns nil where the builtin is undefined or the machine has an error. It is given a slice of its own: OPA's
// builtins may keep it.
func (f *foreign) call(m *machine, operands []*value.Node) *value.Node {
	terms := make([]*ast.Term, len(operands))
	for i, x := range operands {
		terms[i] = x.Term()
	}
	var results []*ast.Term
	var first [1]*ast.Term
	results = first[:0]
	context := m.builtinContext()
	if f.keys {
		context.InterQueryBuiltinValueCache = m.program.kept.Keys(operands)
	}
	err := f.f(context, terms, func(t *ast.Term) error {
		if !f.relation && len(results) > 0 {
			return topdown.Halt{Err: errSecond}
		}
		results = append(results, t)
		return nil
	})
	var halt topdown.Halt
	switch {
	case errors.As(err, &halt) || topdown.IsCancel(err):
		if m.call.Cancel != nil && m.call.Cancel.Cancelled() {
			m.err = ErrCancelled
			return nil
		}
		m.ask(f.name + " ended the evaluation")
		return nil
	case err != nil && m.call.Strict:
		m.ask(f.name + " failed")
		return nil
	case err != nil:
		m.undefined++
		return nil
	}
	if f.relation {
		all := slices.Clone(results)
		return m.taken(ast.ArrayTerm(all...))
	}
	if len(results) == 0 {
		return nil
	}
	return m.taken(results[0])
}

// taken makes a node of what a builtin returned.
func (m *machine) taken(t *ast.Term) *value.Node {
	x := m.arena.FromAST(t)
	if x == nil {
		m.ask("a builtin returned no value")
	}
	return x
}
