package engine

import (
	"context"
	"slices"
	"time"

	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Circumstances are those of a decision that is made again: its time, and the results that it had from builtins that are
// not deterministic.
type Circumstances = eval.Circumstances

// Alone is the same generation for evaluations that must not be seen: they take no slot, are counted nowhere, have plans
// and programs of their own, and are made in this process. Each ends after the timeout, of
// processor time where the system tells it, also if its context has a later deadline.
func (g *Generation) Alone(timeout time.Duration) *Generation {
	alone, most := *g, 0
	if g.evaluator != nil { // that of a former generation is gone
		most = g.evaluator.MaxAnswerBytes()
	}
	alone.elsewhere = nil
	alone.evaluator = eval.New(g.policy, g.data, eval.Config{Timeout: timeout, Capped: true, MaxAnswerBytes: most})
	return &alone
}

// Again is [Generation.Evaluate] under the circumstances of an earlier decision. It takes no slot. Errors are as those of
// Evaluate, but for [ErrBusy].
func (g *Generation) Again(ctx context.Context, path Path, input *Input, c Circumstances) (ast.Value, error) {
	return g.evaluator.Again(ctx, eval.Path(path), input, c)
}

// MakeProgram makes the program of a path at once. An error says why there is none: decisions are made without it.
func (g *Generation) MakeProgram(ctx context.Context, path Path) error {
	return g.evaluator.Compile(ctx, eval.Path(path))
}

// NondeterministicBuiltins lists the builtins that the document at path may call, directly or through other rules, and
// whose results depend on the time or on chance: sorted. It may name too many, and never too few.
func (g *Generation) NondeterministicBuiltins(path Path) []string {
	graph := g.policy.Graph()
	var found []string
	for key := range graph.Closure(unit.SetOf(graph.Reach(unit.PathKey(path.ref())).Packages...)) {
		for _, m := range graph.Package(key).Modules {
			for _, name := range m.Builtins {
				if ast.BuiltinMap[name].Nondeterministic && name != ast.JSONMatchSchema.Name && name != ast.JSONSchemaVerify.Name {
					found = append(found, name)
				}
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// RulesAt are the compiled rules that a reference may mean: those at its place, above it and below it, by file and row. Not
// to be changed.
func (g *Generation) RulesAt(ref ast.Ref) []*ast.Rule {
	rules := g.policy.Compiler().GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true}) // in any order
	slices.SortFunc(rules, func(a, b *ast.Rule) int { return a.Location.Compare(b.Location) })
	return rules
}
