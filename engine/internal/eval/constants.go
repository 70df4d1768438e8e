package eval

import (
	"context"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// constantsTimeout bounds the evaluation of all constants of one path. It runs beside decisions and takes a
// processor from them, so a rule that computes for long is left to the decisions that need it.
const constantsTimeout = 500 * time.Millisecond

// constants are the values of rules that depend on the data alone, as a tree by the parts of their places. They
// hold as long as the generation, since neither rules nor data change in it. After they are stored in a tier
// they never change, so decisions read them without a lock.
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

// find returns the node of a place, nil if there is none. Parts other than strings and
// variables are not looked up, since equal numbers may be different keys of a map; the evaluator then computes
// the rule as it would without constants.
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
	// One deadline for all places: those that come after a slow one are left to the decisions as well.
	limit := newDeadline(ctx, constantsTimeout)
	values, found := &constants{}, false
	for _, place := range places {
		one, err := newTier(e.policy.Compiler(), place)
		if err != nil {
			continue
		}
		value, err := one.evaluate(ctx, e, limit, Strict)
		switch {
		case err != nil: // stored nowhere, so the decision that reaches the rule fails as it would have
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
