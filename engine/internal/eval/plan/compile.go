package plan

import (
	"fmt"
	"strconv"
	"strings"

	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// How a statement ended: next, or the number of blocks that end with it, 1 for its own. A statement that is undefined
// ends its block, as a break of OPA's plan with the number 0 does.
const (
	next     = 0
	ended    = 1
	returned = -1
	failed   = -2
)

// op is a compiled statement; l are the locals of the function.
type op func(m *machine, l []*value.Node) int

// block runs its statements until one does not go on.
type block []op

func (b block) run(m *machine, l []*value.Node) int {
	for _, do := range b {
		if end := do(m, l); end != next {
			return end
		}
	}
	return next
}

// outward is what ending some blocks means outside of one of them.
func outward(end int) int {
	if end > next {
		return end - 1
	}
	return end
}

// blocks run one after the other; one that is undefined does not keep the next from running.
type blocks []block

func (bs blocks) run(m *machine, l []*value.Node) int {
	for _, b := range bs {
		if end := b.run(m, l); end > ended || end < next {
			return outward(end)
		}
	}
	return next
}

// function is a compiled rule, or all rules at one place.
type function struct {
	number int // of those that are remembered
	params int // they are the first locals
	locals int
	path   string // by which calls find it that know the place only when they are made
	body   blocks

	constant bool // it depends on the data alone
}

// operand is a constant, or a local.
type operand struct {
	constant *value.Node
	local    int
}

func (o operand) of(l []*value.Node) *value.Node {
	if o.constant != nil {
		return o.constant
	}
	return l[o.local]
}

// compiler makes the functions of one plan.
type compiler struct {
	policy  *ir.Policy
	program *Program
	texts   []*value.Node
	numbers map[int]*value.Node
	byName  map[string]*function
	byPath  map[string]*function
	decls   map[string]*ir.BuiltinFunc

	cannotFail map[string]bool // functions

	// Of the function that is being compiled.
	locals map[ir.Local]int // where each stands in a frame: in a row, since few are left of those that the planner has
	facts  *facts
	early  *early            // how it ends early; nil: it does not
	marked map[ir.Local]bool // that may hold what one of named makes

	named      *named          // rules whose keys are looked up in the data
	givesNamed map[string]bool // the functions that give what one makes
}

func compileAll(policy *ir.Policy, named *named) (*compiler, error) {
	c := &compiler{
		policy: policy, program: &Program{named: named}, numbers: map[int]*value.Node{}, named: named, givesNamed: map[string]bool{},
		byName: map[string]*function{}, byPath: map[string]*function{}, decls: map[string]*ir.BuiltinFunc{},
	}
	for _, s := range policy.Static.Strings {
		n, err := value.Constant(ast.InternedTerm(s.Value))
		if err != nil {
			return nil, err
		}
		c.texts = append(c.texts, n)
	}
	for _, b := range policy.Static.BuiltinFuncs {
		c.decls[b.Name] = b
	}
	// All functions exist before the first is compiled, since they refer to each other.
	for i, f := range policy.Funcs.Funcs {
		fn := &function{params: len(f.Params), number: i, path: strings.Join(f.Path, "\x00")}
		c.byName[f.Name] = fn
		c.byPath[fn.path] = fn
		c.givesNamed[f.Name] = len(f.Params) == inputAndData && named.has(f.Path)
		c.program.funcs = append(c.program.funcs, fn)
	}
	c.findInfallible()
	for i, f := range policy.Funcs.Funcs {
		if err := c.function(c.program.funcs[i], f); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if len(policy.Plans.Plans) != 1 {
		return nil, fmt.Errorf("%d plans", len(policy.Plans.Plans))
	}
	c.early = nil
	c.program.query = &function{}
	return c, c.body(c.program.query, policy.Plans.Plans[0].Blocks, ir.Input, ir.Data)
}

func (c *compiler) function(fn *function, f *ir.Func) error {
	c.early = earlyOf(f)
	return c.body(fn, f.Blocks, f.Params...)
}

// body compiles the blocks of a function. Its parameters are the first of its locals.
func (c *compiler) body(fn *function, bs []*ir.Block, params ...ir.Local) error {
	c.locals = map[ir.Local]int{}
	for _, p := range params {
		c.local(p)
	}
	bs = c.simplified(bs)
	c.facts, c.marked = factsOf(bs), c.markNamed(bs)
	var err error
	fn.body, err = c.blocks(bs)
	fn.locals = len(c.locals)
	return err
}

func (c *compiler) blocks(all []*ir.Block) (blocks, error) {
	var bs blocks
	for _, b := range all {
		one, err := c.block(b)
		if err != nil {
			return nil, err
		}
		bs = append(bs, one)
	}
	return bs, nil
}

func (c *compiler) block(b *ir.Block) (block, error) {
	defer c.facts.enter(b)()
	var out block
	for stmts := b.Stmts; len(stmts) > 0; {
		do, count := c.lookUp(stmts)
		if count == 0 {
			var err error
			if do, err = c.statement(stmts[0]); err != nil {
				return nil, err
			}
			count = 1
		}
		stmts = stmts[count:]
		if do != nil {
			out = append(out, do)
		}
	}
	return out, nil
}

// local is where a local stands in the function's frame.
func (c *compiler) local(l ir.Local) int {
	at, known := c.locals[l]
	if !known {
		at = len(c.locals)
		c.locals[l] = at
	}
	return at
}

func (c *compiler) operand(o ir.Operand) operand {
	switch v := o.Value.(type) {
	case ir.Local:
		return operand{local: c.local(v)}
	case ir.StringIndex:
		return operand{constant: c.texts[v]}
	case ir.Bool:
		return operand{constant: value.Bool(bool(v))}
	case constant:
		return operand{constant: v.node}
	default: // there is no other; the planner has three
		return operand{constant: value.NullNode}
	}
}

func (c *compiler) operands(all []ir.Operand) []operand {
	out := make([]operand, len(all))
	for i, o := range all {
		out[i] = c.operand(o)
	}
	return out
}

// number is the constant of a number's text.
func (c *compiler) number(i int) (*value.Node, error) {
	if n := c.numbers[i]; n != nil {
		return n, nil
	}
	n, err := value.Constant(ast.NumberTerm(jsonNumber(c.policy.Static.Strings[i].Value)))
	if err == nil {
		c.numbers[i] = n
	}
	return n, err
}

// integer is the constant of an integer that the planner needs.
func (c *compiler) integer(i int64) ir.Operand {
	n, _ := value.Constant(ast.NumberTerm(jsonNumber(strconv.FormatInt(i, 10)))) // any int64 has a node
	return ir.Operand{Value: constant{node: n}}
}

// hint is the number of a statement that remembers where it found a member.
func (c *compiler) hint() int {
	c.program.hints++
	return c.program.hints - 1
}
