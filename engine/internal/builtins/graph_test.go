package builtins_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// looks counts how often an evaluation asks whether it is over.
type looks struct{ n int }

func (*looks) Cancel()           {}
func (l *looks) Cancelled() bool { l.n++; return false }

// Paths through the same nodes have one hash in OPA, so a set of them takes time that grows with the square of
// their number. The deadline must be looked at as often as that.
func TestReachablePathsLooksAtTheDeadlineForEachComparison(t *testing.T) {
	cancel := &looks{}
	var paths int
	err := topdown.GetBuiltin("graph.reachable_paths")(topdown.BuiltinContext{Cancel: cancel},
		[]*ast.Term{completeGraph(7), ast.ArrayTerm(ast.IntNumberTerm(0))}, func(result *ast.Term) error {
			paths = result.Value.(ast.Set).Len()
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	if want := paths * paths / 2 / 8192; paths < 720 || cancel.n < want {
		t.Errorf("%d paths were found with %d looks at the deadline; want at least %d looks", paths, cancel.n, want)
	}
}

// OPA calls builtins that it believes need no context with an empty one, in which there is no deadline.
func TestTheEvaluatorGivesBuiltinsItsDeadline(t *testing.T) {
	for name, want := range map[string]bool{"graph.reachable_paths": true, "regex.replace": true, "json.patch": true, "count": false} {
		if got := !ast.BuiltinMap[name].CanSkipBctx; got != want {
			t.Errorf("%s gets the deadline: %t; want %t", name, got, want)
		}
	}
}

// TestReachableLooksAtTheDeadlineForEachComparison of numbers that OPA gives one hash.
func TestReachableLooksAtTheDeadlineForEachComparison(t *testing.T) {
	const nodes = 3000
	var list []*ast.Term
	for i := range nodes {
		list = append(list, ast.NumberTerm(json.Number(fmt.Sprintf("1.%06d", i+1))))
	}
	for name, operands := range map[string][]*ast.Term{
		"as a start": {ast.ObjectTerm(), ast.ArrayTerm(list...)},
		"as edges":   {ast.ObjectTerm(ast.Item(ast.StringTerm("a"), ast.ArrayTerm(list...))), ast.ArrayTerm(ast.StringTerm("a"))},
	} {
		cancel := &looks{}
		err := topdown.GetBuiltin("graph.reachable")(topdown.BuiltinContext{Cancel: cancel}, operands, func(*ast.Term) error { return nil })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := nodes * nodes / 2 / 8192; cancel.n < want {
			t.Errorf("%s: %d looks at the deadline; want at least %d", name, cancel.n, want)
		}
	}
}
