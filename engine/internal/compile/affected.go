package compile

import (
	"slices"

	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Affected returns the packages whose rules can have other values than under before: those that e changed,
// and those that refer, directly or through others, to one of them or to data that is not what it was.
//
// It may name too many packages and never too few: what runs the tests of the affected ones relies on it.
func (p *Policy) Affected(before *Policy, was ast.Object, e Edit) unit.Set {
	c := newChange(before, e)
	c.graphs.after = p.graph
	affected := unit.Set{}
	for key := range c.distances(was) {
		affected[key] = true
	}
	return affected
}

// Tests are modules that refer to a policy and are no part of it, before and after an edit. Unchanged ones are the same.
type Tests struct{ Before, After []*unit.Module }

// AffectedTests is [Policy.Affected] with tests that lie beside the policies. Each package has its distance: 0 if it changed,
// 1 if it refers to one that did or to data that did, and so on. graph is that of the policy with the tests.
func (p *Policy) AffectedTests(before *Policy, was ast.Object, e Edit, tests Tests) (distances map[unit.Key]int, graph *unit.Graph) {
	graph = p.graph.With(nil, tests.After)
	c := changeOf(Edit{
		Removed: slices.Concat(e.Removed, missingFrom(tests.After, tests.Before)),
		Added:   slices.Concat(e.Added, missingFrom(tests.Before, tests.After)),
		Data:    e.Data, DataChanged: e.DataChanged,
	}, before, graphs{before: before.graph.With(nil, tests.Before), after: graph})
	return c.distances(was), graph
}

// missingFrom lists what is in all and not in have.
func missingFrom(have, all []*unit.Module) []*unit.Module {
	known := make(map[*unit.Module]bool, len(have))
	for _, m := range have {
		known[m] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(m *unit.Module) bool { return known[m] })
}

// distances has every package that the change affects; see [Policy.AffectedTests].
func (c *change) distances(was ast.Object) map[unit.Key]int {
	distances := map[unit.Key]int{}
	for key := range c.changed {
		distances[key] = 0
	}
	places := c.changed.Sorted()
	if c.DataChanged {
		places = append(places, dataPlaces(was, c.Data.Root(), "", 0)...)
	}
	// Unlike the waves of an edit, this goes on through packages whose signature is the same: the values of
	// their rules may differ all the same.
	for distance := 1; len(places) > 0; distance++ {
		found := c.graphs.entangled(c.graphs.after.Dependents(sortedPlaces(places)))
		places = nil
		for key := range found {
			if _, known := distances[key]; !known {
				distances[key] = distance
				places = append(places, key)
			}
		}
	}
	return distances
}

// maxDataDepth is how deep into the data a difference is followed. Below it, whatever refers to a part of the
// value counts as affected: an answer that is too long is still right.
const maxDataDepth = 8

// dataPlaces lists the places where two documents differ.
func dataPlaces(before, now ast.Object, at unit.Key, depth int) []unit.Key {
	if before == now { // documents share what an edit did not touch, so this ends most walks at once
		return nil
	}
	if depth == maxDataDepth {
		return []unit.Key{at}
	}
	var places []unit.Key
	differ := func(k, a, b *ast.Term) {
		key, _ := unit.KeyOf([]*ast.Term{k})
		if a != nil && b != nil {
			x, xIs := a.Value.(ast.Object)
			y, yIs := b.Value.(ast.Object)
			if xIs && yIs {
				places = append(places, dataPlaces(x, y, at+key, depth+1)...)
				return
			}
			if a == b || a.Value.Compare(b.Value) == 0 {
				return
			}
		}
		places = append(places, at+key)
	}
	before.Foreach(func(k, v *ast.Term) { differ(k, v, now.Get(k)) })
	now.Foreach(func(k, v *ast.Term) {
		if before.Get(k) == nil {
			differ(k, nil, v)
		}
	})
	return places
}
