package unit

import (
	"slices"
	"sort"
)

// Graph is the packages of a corpus and what they refer to. It never changes. Safe for concurrent
// use.
type Graph struct {
	packages *Table[Package]
	keys     []Key // of packages, sorted: what lies below a place is one range
}

// Package is all modules that declare one package.
type Package struct {
	Key     Key
	Modules []*Module
}

// New makes the graph of a corpus.
func New(modules []*Module) *Graph { return (&Graph{packages: &Table[Package]{}}).With(nil, modules) }

// With returns the graph without the removed modules, which it must hold, and with the added ones.
// It takes time for what is removed and added.
func (g *Graph) With(removed, added []*Module) *Graph {
	drop := make(map[*Module]bool, len(removed))
	more := map[Key][]*Module{}
	for _, m := range removed {
		drop[m] = true
		more[m.Package] = nil
	}
	for _, m := range added {
		more[m.Package] = append(more[m.Package], m)
	}
	changed := make(map[Key]*Package, len(more))
	var moved []Key // came or went
	for key, modules := range more {
		before := g.Package(key)
		after := &Package{Key: key}
		if before != nil {
			after.Modules = slices.DeleteFunc(slices.Clone(before.Modules), func(m *Module) bool { return drop[m] })
		}
		after.Modules = append(after.Modules, modules...)
		if len(after.Modules) == 0 {
			after = nil
		}
		changed[key] = after
		if (before == nil) != (after == nil) {
			moved = append(moved, key)
		}
	}
	return &Graph{packages: g.packages.With(changed), keys: toggled(g.keys, moved)}
}

// toggled is the sorted keys without those that are among moved, and with those of moved that were not
// among them.
func toggled(keys, moved []Key) []Key {
	if len(moved) == 0 {
		return keys
	}
	slices.Sort(moved)
	all := make([]Key, 0, len(keys)+len(moved))
	for _, key := range moved {
		at, there := slices.BinarySearch(keys, key)
		all = append(all, keys[:at]...)
		if keys = keys[at:]; there {
			keys = keys[1:]
		} else {
			all = append(all, key)
		}
	}
	return append(all, keys...)
}

// Package returns the package at exactly key, nil when there is none.
func (g *Graph) Package(key Key) *Package { return g.packages.Get(key) }

// Keys are the keys of all packages, sorted. Not to be changed.
func (g *Graph) Keys() []Key { return g.keys }

// Rules are the rules of all modules of the package; none when p is nil.
func (p *Package) Rules() []Rule {
	if p == nil {
		return nil
	}
	if len(p.Modules) == 1 {
		return p.Modules[0].Rules
	}
	var rules []Rule
	for _, m := range p.Modules {
		rules = append(rules, m.Rules...)
	}
	return rules
}

// Bare reports whether a module of the package has no rule; such a package is a place of its own.
func (p *Package) Bare() bool {
	return p != nil && slices.ContainsFunc(p.Modules, func(m *Module) bool { return len(m.Rules) == 0 })
}

func (p *Package) any(is func(*Module) bool) bool {
	return p != nil && slices.ContainsFunc(p.Modules, is)
}

func readsChain(m *Module) bool { return m.ReadsChain }
func tellsBelow(m *Module) bool { return m.TellsBelow }

// below are the packages at or below place.
func (g *Graph) below(place Key) []Key {
	from := sort.Search(len(g.keys), func(i int) bool { return g.keys[i] >= place })
	n := sort.Search(len(g.keys)-from, func(i int) bool { return !place.Holds(g.keys[from+i]) })
	return g.keys[from : from+n]
}

// reached calls f with every package that a reference to place can find something of.
func (g *Graph) reached(place Key, f func(Key)) {
	for _, key := range g.below(place) {
		f(key)
	}
	place.above(func(key Key) {
		p := g.Package(key)
		if p == nil || key == place {
			return
		}
		for _, m := range p.Modules {
			for i := range m.Rules {
				if m.Rules[i].Path.Meets(place) {
					f(key)
					return
				}
			}
		}
	})
}
