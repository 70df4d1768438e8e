package replay

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// maxExits bounds what is kept of one evaluation.
const maxExits = 10_000

// exits are the rules that held in an evaluation, by name.
type exits struct {
	rules map[string]*held
	names map[*ast.Rule]string // kept from one evaluation to the next
	left  int
}

// held is what a rule gave.
type held struct {
	clauses []*ast.Rule
	results map[int]int // of a function: the hash of its result by that of its operands
}

func newExits(names map[*ast.Rule]string) *exits {
	return &exits{rules: map[string]*held{}, names: names, left: maxExits}
}

// Enabled is [topdown.QueryTracer]'s.
func (x *exits) Enabled() bool { return true }

// Config is [topdown.QueryTracer]'s.
func (x *exits) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent is [topdown.QueryTracer]'s.
func (x *exits) TraceEvent(e topdown.Event) {
	if e.Op != topdown.ExitOp || x.left == 0 {
		return
	}
	rule, ok := e.Node.(*ast.Rule)
	if !ok {
		return
	}
	x.left--
	name, ok := x.names[rule]
	if !ok {
		name = nameOf(rule)
		x.names[rule] = name
	}
	h := x.rules[name]
	if h == nil {
		h = &held{results: map[int]int{}}
		x.rules[name] = h
	}
	if !slices.Contains(h.clauses, rule) {
		h.clauses = append(h.clauses, rule)
	}
	if len(rule.Head.Args) > 0 {
		operands := 0
		for _, arg := range rule.Head.Args {
			operands = 31*operands + e.Plug(arg).Value.Hash()
		}
		h.results[operands] = e.Plug(rule.Head.Value).Value.Hash()
	}
}

// nameOf is the name of a rule up to its first part that is not a constant.
func nameOf(rule *ast.Rule) string { return rule.Ref().GroundPrefix().String() }

// functionDiffers reports whether two evaluations had different results of a function for the same operands, or only one of
// them had a result.
func functionDiffers(a, b *held) bool {
	if a == nil || b == nil {
		return (a == nil) != (b == nil)
	}
	if len(a.results) != len(b.results) {
		return true
	}
	for operands, result := range a.results {
		if other, ok := b.results[operands]; !ok || other != result {
			return true
		}
	}
	return false
}
