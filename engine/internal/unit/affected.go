package unit

import (
	"maps"
	"slices"
)

// Set is a set of packages.
type Set map[Key]bool

// SetOf makes a set of the keys.
func SetOf(keys ...Key) Set {
	s := make(Set, len(keys))
	for _, key := range keys {
		s[key] = true
	}
	return s
}

// Add adds other's members and reports whether any was new.
func (s Set) Add(other Set) bool {
	before := len(s)
	maps.Copy(s, other)
	return len(s) > before
}

// Sorted returns the members in order.
func (s Set) Sorted() []Key { return slices.Sorted(maps.Keys(s)) }

// Closure returns the packages given and all that they refer to, directly or through others: compiled
// together they need nothing else. Keys at which the graph has no package are left out.
func (g *Graph) Closure(of Set) Set {
	closure := make(Set, 2*len(of))
	var todo []Key
	visit := func(key Key) {
		if !closure[key] && g.Package(key) != nil {
			closure[key] = true
			todo = append(todo, key)
		}
	}
	for key := range of {
		visit(key)
	}
	seen := map[Key]bool{}
	for len(todo) > 0 {
		p := g.Package(todo[len(todo)-1])
		todo = todo[:len(todo)-1]
		for _, m := range p.Modules {
			for _, ref := range m.Refs {
				if !seen[ref] {
					seen[ref] = true
					g.visitReached(ref, visit)
				}
			}
			if m.ReadsChain {
				p.Key.above(visit)
			}
		}
	}
	return closure
}

// Entangled returns the packages given and all whose rules share places with theirs: a rule a.b.c of
// package x and the package x.a define one subtree of data between them. OPA's rule tree has one node
// for both, so they can only be compiled, and replaced, together.
func (g *Graph) Entangled(with Set) Set {
	group := make(Set, len(with))
	todo := with.Sorted()
	visit := func(key Key) {
		if !group[key] {
			group[key] = true
			todo = append(todo, key)
		}
	}
	for _, key := range todo {
		group[key] = true
	}
	for len(todo) > 0 {
		key := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if below := g.below(key); len(below) > 1 || len(below) == 1 && below[0] != key {
			for _, rule := range g.Package(key).Rules() {
				for _, mate := range g.below(rule.first) {
					visit(mate)
				}
			}
		}
		key.above(func(above Key) {
			for _, rule := range g.Package(above).Rules() {
				if above != key && rule.first.Holds(key) {
					visit(above)
					return
				}
			}
		})
	}
	return group
}

// Dependents returns the packages with a reference to a place that is at, above or below one of those
// given. It looks at every reference of the graph once.
func (g *Graph) Dependents(places []Key) Set {
	sorted := slices.Sorted(slices.Values(places))
	named := SetOf(places...)
	cache := map[Key]bool{} // by reference: most references are to the same few libraries
	meets := func(ref Key) bool {
		is, cached := cache[ref]
		if cached {
			return is
		}
		at, _ := slices.BinarySearch(sorted, ref)
		is = at < len(sorted) && ref.Holds(sorted[at])
		if !is {
			ref.above(func(above Key) { is = is || named[above] })
		}
		cache[ref] = is
		return is
	}
	found := Set{}
	for key, p := range g.packages.All() {
		if p.any(func(m *Module) bool { return slices.ContainsFunc(m.Refs, meets) }) {
			found[key] = true
		}
	}
	return found
}

// Readers returns the packages whose rules can see one of the places, directly or through rules of others.
func (g *Graph) Readers(places []Key) Set {
	readers := Set{}
	for len(places) > 0 {
		found := g.Dependents(places)
		places = nil
		for key := range found {
			if !readers[key] {
				readers[key] = true
				places = append(places, key)
			}
		}
	}
	return readers
}

// ChainReaders returns the packages that read rego.metadata.chain and lie below one of the packages
// given, if that has metadata for the packages below it, in this graph or in before. In before, since
// they also have to be compiled again when the metadata goes.
func (g *Graph) ChainReaders(of Set, before *Graph) Set {
	found := Set{}
	for key := range of {
		if !g.Package(key).any(describesSubpackages) && !before.Package(key).any(describesSubpackages) {
			continue
		}
		for _, reader := range g.below(key) {
			if g.Package(reader).any(readsChain) {
				found[reader] = true
			}
		}
	}
	return found
}
