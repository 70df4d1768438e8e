package compile

import (
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Affected returns the packages whose rules can have other values than under before: those that e changed,
// and those that refer, directly or through others, to one of them or to data that is not what it was.
//
// It may name too many packages and never too few: what runs the tests of the affected ones relies on it.
func (p *Policy) Affected(before *Policy, was ast.Object, e Edit) unit.Set {
	c := newChange(before, e)
	affected := c.changed
	places := affected.Sorted()
	if e.DataChanged {
		places = append(places, dataPlaces(was, e.Data.Root(), "", 0)...)
	}
	// Unlike the waves of an edit, this goes on through packages whose signature is the same: the values of
	// their rules may differ all the same.
	for len(places) > 0 {
		found := c.graphs.entangled(p.graph.Dependents(sortedPlaces(places)))
		places = nil
		for key := range found {
			if !affected[key] {
				affected[key] = true
				places = append(places, key)
			}
		}
	}
	return affected
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
