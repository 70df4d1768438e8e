package unit

import (
	"slices"
	"sort"
)

// Graph is the packages of a corpus and what they refer to. It is immutable and safe for concurrent
// use.
type Graph struct {
	packages *Table[Package]
	keys     []Key // of packages, sorted, so that the packages below a place are one range
}

// Package is the modules that declare one package. It is immutable.
type Package struct {
	Key     Key
	Modules []*Module
}

// New makes the graph of a corpus.
func New(modules []*Module) *Graph { return (&Graph{packages: &Table[Package]{}}).With(nil, modules) }

// With returns the graph without the removed modules, which must be in it, and with the added ones. It
// takes time in proportion to what is removed and added, and copies the list of keys if a package
// appears or disappears.
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
	var toggled []Key // keys of packages that appear or disappear
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
			toggled = append(toggled, key)
		}
	}
	return &Graph{packages: g.packages.With(changed), keys: toggle(g.keys, toggled)}
}

// toggle returns the sorted keys without those of toggled that are among them, and with the others. It
// changes neither slice's members, but sorts toggled.
func toggle(keys, toggled []Key) []Key {
	if len(toggled) == 0 {
		return keys
	}
	slices.Sort(toggled)
	all := make([]Key, 0, len(keys)+len(toggled))
	for _, key := range toggled {
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

// Package returns the package at exactly key, or nil.
func (g *Graph) Package(key Key) *Package { return g.packages.Get(key) }

// Keys returns the keys of all packages, sorted. The caller must not change the slice.
func (g *Graph) Keys() []Key { return g.keys }

// Rules returns the rules of all modules of the package; none if p is nil. The caller must not change
// the slice.
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

// Bare reports whether a module of the package has no rule. OPA's rule tree has a node for such a
// package though there is no rule to put there.
func (p *Package) Bare() bool {
	return p != nil && slices.ContainsFunc(p.Modules, func(m *Module) bool { return len(m.Rules) == 0 })
}

func (p *Package) any(is func(*Module) bool) bool {
	return p != nil && slices.ContainsFunc(p.Modules, is)
}

// Replaced are the places of which a with of some module replaces the rules, sorted, each once. It looks at every module.
func (g *Graph) Replaced() (places []Key) {
	for _, p := range g.packages.All() {
		for _, m := range p.Modules {
			places = append(places, m.Replaced...)
		}
	}
	slices.Sort(places)
	return slices.Compact(places)
}

func readsChain(m *Module) bool           { return m.ReadsChain }
func describesSubpackages(m *Module) bool { return m.DescribesSubpackages }

// below returns the packages at or below place.
func (g *Graph) below(place Key) []Key {
	from := sort.Search(len(g.keys), func(i int) bool { return g.keys[i] >= place })
	n := sort.Search(len(g.keys)-from, func(i int) bool { return !place.Holds(g.keys[from+i]) })
	return g.keys[from : from+n]
}

// visitReached calls f with every package that has something a reference to place can find.
func (g *Graph) visitReached(place Key, f func(Key)) {
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
				if m.Rules[i].Path.Overlaps(place) {
					f(key)
					return
				}
			}
		}
	})
}
