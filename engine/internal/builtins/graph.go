package builtins

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// reachable is graph.reachable. OPA's visits a node once for each edge to it, and looks at no deadline.
func reachable(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
	graph, queue, err := graphOperands(bctx, operands)
	if err != nil {
		return err
	}
	seen := countedSet{steps: steps{bctx: bctx}, set: ast.NewSet(), hashes: map[int]int{}}
	reached := countedSet{steps: steps{bctx: bctx}, set: ast.NewSet(), hashes: map[int]int{}}
	for _, node := range queue {
		if _, err := seen.add(node); err != nil {
			return err
		}
	}
	for i := 0; i < len(queue); i++ {
		edges := graph.Get(queue[i])
		if edges == nil {
			if seen.step(1) {
				return errCancelled
			}
			continue
		}
		if _, err := reached.add(queue[i]); err != nil {
			return err
		}
		for _, neighbor := range neighborsOf(edges) {
			added, err := seen.add(neighbor)
			if err != nil {
				return err
			}
			if added {
				queue = append(queue, neighbor)
			}
		}
	}
	return iter(ast.NewTerm(reached.set))
}

// steps counts what an evaluation did since it last looked at the deadline.
type steps struct {
	bctx topdown.BuiltinContext
	n    int
}

// step counts n steps, and reports whether the evaluation is to end.
func (s *steps) step(n int) bool {
	before := s.n / valuesPerLook
	s.n += n
	return s.n/valuesPerLook != before && cancelled(s.bctx)
}

// countedSet looks at the deadline by the values that a new one may be compared with. There can be thousands: OPA gives
// one hash to all permutations of an array, and to all numbers with the same integer part.
type countedSet struct {
	steps

	set    ast.Set
	hashes map[int]int // the number of values with each hash
}

// add reports whether the value is new.
func (s *countedSet) add(t *ast.Term) (added bool, err error) {
	hash := t.Hash()
	if s.step(1 + s.hashes[hash]) {
		return false, errCancelled
	}
	if s.set.Contains(t) {
		return false, nil
	}
	s.hashes[hash]++
	s.set.Add(t)
	return true, nil
}

// reachablePaths is graph.reachable_paths. There may be as many paths as permutations of the nodes; OPA's looks
// at no deadline and has no limit.
func reachablePaths(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
	graph, initial, err := graphOperands(bctx, operands)
	if err != nil {
		return err
	}
	w := pathWalk{graph: graph, paths: countedSet{steps: steps{bctx: bctx}, set: ast.NewSet(), hashes: map[int]int{}}}
	for _, node := range initial {
		edges := graph.Get(node)
		if edges == nil {
			continue
		}
		w.onPath = ast.NewSet() // without node: OPA follows an edge from it to itself once
		if err := w.extendBy(neighborsOf(edges), []*ast.Term{node}, node); err != nil {
			return err
		}
	}
	return iter(ast.NewTerm(w.paths.set))
}

func graphOperands(bctx topdown.BuiltinContext, operands []*ast.Term) (ast.Object, []*ast.Term, error) {
	graph, err := builtins.ObjectOperand(operands[0].Value, 1)
	if err != nil {
		return nil, nil, err
	}
	if err := small(bctx, operands); err != nil {
		return nil, nil, err
	}
	switch initial := operands[1].Value.(type) {
	case *ast.Array, ast.Set:
		var nodes []*ast.Term
		eachVertex(operands[1], func(t *ast.Term) { nodes = append(nodes, t) })
		return graph, nodes, nil
	default:
		return nil, nil, builtins.NewOperandTypeErr(2, initial, "{array, set}")
	}
}

// eachVertex calls f for the items of an array or a set; nothing else has edges.
func eachVertex(t *ast.Term, f func(*ast.Term)) {
	switch v := t.Value.(type) {
	case *ast.Array:
		v.Foreach(f)
	case ast.Set:
		v.Foreach(f)
	}
}

// pathWalk finds the paths that end: at a node without edges, at one that is not in the graph, which is left
// out, or where the next edge leads back.
type pathWalk struct {
	graph  ast.Object
	paths  countedSet
	onPath ast.Set // for one path at a time
	items  int     // of all paths
}

// extend adds the paths that begin with path and node.
func (w *pathWalk) extend(node, edges *ast.Term, path []*ast.Term) error {
	if w.paths.step(1) {
		return errCancelled
	}
	if len(path) >= MaxDepth {
		return tooLarge("a path", "nodes", MaxDepth)
	}
	before := w.onPath
	w.onPath = before.Copy()
	w.onPath.Add(node)
	defer func() { w.onPath = before }()
	return w.extendBy(neighborsOf(edges), append(path[:len(path):len(path)], node), nil)
}

// extendBy adds the paths that begin with path and go on to one of the neighbors. Unless root is nil, the path
// is that node alone.
func (w *pathWalk) extendBy(neighbors, path []*ast.Term, root *ast.Term) error {
	if len(neighbors) == 0 {
		return w.add(path)
	}
	ends := false
	for _, neighbor := range neighbors {
		next := w.graph.Get(neighbor)
		if next == nil || w.onPath.Contains(neighbor) {
			if ends {
				continue // the path is the same for each such neighbor
			}
			ends = true
			if err := w.add(path); err != nil {
				return err
			}
			continue
		}
		before := w.onPath
		if root != nil {
			w.onPath = ast.NewSet(root)
		}
		err := w.extend(neighbor, next, path)
		w.onPath = before
		if err != nil {
			return err
		}
	}
	return nil
}

func neighborsOf(edges *ast.Term) []*ast.Term {
	var all []*ast.Term
	eachVertex(edges, func(t *ast.Term) { all = append(all, t) })
	return all
}

func (w *pathWalk) add(path []*ast.Term) error {
	added, err := w.paths.add(ast.ArrayTerm(path...))
	if err != nil || !added {
		return err
	}
	if w.items += len(path); w.items > MaxItems {
		return tooLarge("the result", "items", MaxItems)
	}
	return nil
}
