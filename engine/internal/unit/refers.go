package unit

import "slices"

// foundBy reports whether a reference to place can find something of the package, as [Graph.visitReached] has it.
func (p *Package) foundBy(place Key) bool {
	if place.Holds(p.Key) {
		return true
	}
	return p.Key.Holds(place) && slices.ContainsFunc(p.Modules, func(m *Module) bool {
		return slices.ContainsFunc(m.Rules, func(r Rule) bool { return r.Path.Overlaps(place) })
	})
}

// RefersTo returns the other packages of which the one at key has references that can find something, sorted.
func (g *Graph) RefersTo(key Key) []Key {
	p, found := g.Package(key), Set{}
	if p == nil {
		return nil
	}
	for _, m := range p.Modules {
		for _, ref := range m.Refs {
			g.visitReached(ref, func(other Key) { found[other] = true })
		}
	}
	delete(found, key)
	return found.Sorted()
}

// ReferredBy returns for each of the packages at keys the others that refer to it, sorted: the inverse of
// [Graph.RefersTo]. It looks at every reference of the graph once.
func (g *Graph) ReferredBy(keys []Key) map[Key][]Key {
	var asked []*Package
	for _, key := range keys {
		if p := g.Package(key); p != nil {
			asked = append(asked, p)
		}
	}
	cache := map[Key][]int{} // places in asked by reference: most references are to the same few libraries
	finds := func(ref Key) []int {
		found, cached := cache[ref]
		if !cached {
			for i, p := range asked {
				if p.foundBy(ref) {
					found = append(found, i)
				}
			}
			cache[ref] = found
		}
		return found
	}
	by := make([][]Key, len(asked))
	for key, p := range g.packages.All() {
		for _, m := range p.Modules {
			for _, ref := range m.Refs {
				for _, i := range finds(ref) {
					if n := len(by[i]); asked[i].Key != key && (n == 0 || by[i][n-1] != key) {
						by[i] = append(by[i], key)
					}
				}
			}
		}
	}
	all := make(map[Key][]Key, len(by))
	for i, who := range by {
		slices.Sort(who)
		all[asked[i].Key] = who
	}
	return all
}
