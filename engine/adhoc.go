package engine

import (
	"context"
	"fmt"

	"defenseclaw/engine/internal/dialect"

	"github.com/open-policy-agent/opa/v1/ast"
)

// MaxQuerySteps bounds the expressions and calls of a query that a caller wrote, those in comprehensions
// included. OPA's compiler takes time with their cube in the worst case: 500 take seconds, 5,000 an hour.
const MaxQuerySteps = 500

// checkQuery refuses a query with more than [MaxQuerySteps] expressions and calls, or with a number of too many
// digits, as [ast.Errors].
func checkQuery(query ast.Body) error {
	steps := 0
	ast.NewGenericVisitor(func(x any) bool {
		switch x.(type) {
		case *ast.Expr, ast.Call:
			steps++
		}
		return steps > MaxQuerySteps
	}).Walk(query)
	if steps <= MaxQuerySteps {
		return dialect.CheckNumbers(query)
	}
	return ast.Errors{ast.NewError(ast.CompileErr, query.Loc(),
		"the query has more than %d expressions and calls, which is the limit", MaxQuerySteps)}
}

// runAdHoc runs f, an evaluation that has no plan, within a slot and a deadline: f gets the context that has
// both. It returns at the deadline even if f does not, since OPA's compiler cannot be interrupted. Then f keeps
// its slot until it ends, and whatever it writes to must not be read. With [Config].AwaitAbandoned it waits for f.
func runAdHoc[T any](ctx context.Context, g *Generation, doing string, f func(context.Context) (T, error)) (T, error) {
	var none T
	ctx, end, err := g.evaluator.EnterAdHoc(ctx)
	if err != nil {
		return none, fmt.Errorf("%s: %w", doing, err)
	}
	return abandonable(ctx, g.evaluator.AwaitsAbandoned(), doing, end, f)
}
