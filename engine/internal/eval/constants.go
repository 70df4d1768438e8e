package eval

import (
	"context"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// constantsTimeout bounds the evaluation of all constants of one path.
const constantsTimeout = 500 * time.Millisecond

// constants are the values of rules that depend on the data alone, as a tree by the parts of their places.
type constants struct {
	value     *ast.Term
	undefined bool
	children  map[ast.Value]*constants // keys are strings and variables, which can be compared
}

func (c *constants) add(place ast.Ref, value *ast.Term) {
	for _, part := range place {
		next := c.children[part.Value]
		if next == nil {
			next = &constants{}
			if c.children == nil {
				c.children = map[ast.Value]*constants{}
			}
			c.children[part.Value] = next
		}
		c = next
	}
	c.value, c.undefined = value, value == nil
}

func (c *constants) find(ref ast.Ref) *constants {
	for _, part := range ref {
		switch v := part.Value.(type) {
		case ast.String, ast.Var:
			if c = c.children[v]; c == nil {
				return nil
			}
		default:
			return nil
		}
	}
	return c
}

// evaluateConstants evaluates the rules at places once, for all decisions by the plan. A rule that fails, or
// does not end in time, is left to the decisions: some may never reach it.
func (e *Evaluator) evaluateConstants(ctx context.Context, p *plan, places []ast.Ref) {
	limit := newDeadline(ctx, constantsTimeout)
	values, found := &constants{}, false
	for _, place := range places {
		one, err := newTier(e.policy.Compiler(), place)
		if err != nil {
			continue
		}
		value, err := one.evaluate(ctx, e, nil, limit)
		switch {
		case err != nil:
		case value == nil:
			values.add(place, nil)
			found = true
		default:
			values.add(place, ast.NewTerm(value))
			found = true
		}
	}
	if found {
		p.tier.Store(p.tier.Load().withConstants(values))
	}
}
