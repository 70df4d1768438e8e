package engine

import (
	"slices"
	"strings"

	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Tests is the suite of all tests that a generation of an engine with Config.Tests holds.
func (g *Generation) Tests() *Suite {
	return &Suite{Modules: modulesOf(g.parsed), Store: g.data}
}

// Affected is the suite of the tests whose results can be others than they were in since: those of
// every package that changed or refers, directly or through others, to a package or to data that
// did. Its modules are these packages and what they refer to, so that compiling it takes time for
// the change. nil when there is no such test; all tests when since is nil.
func (g *Generation) Affected(since *Generation) *Suite {
	if since == nil {
		return g.Tests()
	}
	c := changeBy(editSince(since, g.parsed), since.policy, g.data)
	affected := c.packages
	places := affected.Sorted()
	if c.newData {
		places = append(places, dataPlaces(since.data.root, g.data.root, "", 0)...)
	}
	for len(places) > 0 {
		found := c.entangled(g.policy.graph.Dependents(sortedPlaces(places)))
		places = nil
		for key := range found {
			if !affected[key] {
				affected[key] = true
				places = append(places, key)
			}
		}
	}
	suite := &Suite{Store: g.data}
	tested := unit.Set{}
	for _, p := range g.parsed {
		if p.Source.Kind() == source.KindTest && p.Unit != nil && affected[p.Unit.Package] {
			if !tested[p.Unit.Package] {
				suite.Only = append(suite.Only, p.Unit.Path)
			}
			tested[p.Unit.Package] = true
		}
	}
	if len(tested) == 0 {
		return nil
	}
	suite.Modules = modulesIn(g.policy.graph, g.policy.graph.Closure(c.entangled(tested)))
	return suite
}

// deepestPlace is how far into the data a difference is followed: what refers to less of it is
// affected all the same.
const deepestPlace = 8

// dataPlaces lists the places at which two documents differ.
func dataPlaces(before, now ast.Object, at unit.Key, depth int) []unit.Key {
	if before == now {
		return nil
	}
	if depth == deepestPlace {
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

// RulesIn tells the package that a module declares and the names of its rules that have a value
// without arguments, tests left out, in the order of the file; nil when path is no policy module.
func (g *Generation) RulesIn(path string) (pkg Path, rules []string) {
	module := g.Module(path)
	if module == nil {
		return nil, nil
	}
	for _, t := range module.Package.Path[1:] {
		name, ok := t.Value.(ast.String)
		if !ok {
			return nil, nil
		}
		pkg = append(pkg, string(name))
	}
	for _, rule := range module.Rules {
		name := string(rule.Head.Name)
		if ref := rule.Head.Ref(); len(ref) > 0 {
			name = strings.Trim(ref[0].String(), `"`)
		}
		if len(rule.Head.Args) == 0 && !slices.Contains(rules, name) {
			rules = append(rules, name)
		}
	}
	return pkg, rules
}
