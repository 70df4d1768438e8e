package engine

import (
	"context"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// knownTimeout bounds how long the rules of one path that depend on the data alone are evaluated ahead.
const knownTimeout = 500 * time.Millisecond

// knownRules are the values of rules that depend on the data alone, by the parts of their place.
type knownRules struct {
	value     *ast.Term
	undefined bool
	children  map[ast.Value]*knownRules // keys are strings and numbers, which can be compared
}

func (k *knownRules) add(place ast.Ref, value *ast.Term) {
	for _, part := range place {
		next := k.children[part.Value]
		if next == nil {
			next = &knownRules{}
			if k.children == nil {
				k.children = map[ast.Value]*knownRules{}
			}
			k.children[part.Value] = next
		}
		k = next
	}
	k.value, k.undefined = value, value == nil
}

func (k *knownRules) find(ref ast.Ref) *knownRules {
	for _, part := range ref {
		switch v := part.Value.(type) {
		case ast.String, ast.Var:
			if k = k.children[v]; k == nil {
				return nil
			}
		default:
			return nil
		}
	}
	return k
}

// evaluateKnown evaluates the rules at the places once, for all decisions by the plan. One that cannot be
// evaluated, or not in time, is left to the decisions.
func (g *Generation) evaluateKnown(ctx context.Context, p *plan, places []ast.Ref) {
	limit := newDeadline(ctx, knownTimeout)
	known, found := &knownRules{}, false
	for _, place := range places {
		one, err := newTier(g.policy.compiler, place)
		if err != nil {
			continue
		}
		value, err := one.evaluate(ctx, g, nil, limit)
		switch {
		case err != nil:
		case value == nil:
			known.add(place, nil)
			found = true
		default:
			known.add(place, ast.NewTerm(value))
			found = true
		}
	}
	if found {
		p.tier.Store(p.tier.Load().withKnown(known))
	}
}
