package compile

import "defenseclaw/engine/internal/unit"

// graphs are the package graphs before and after an edit. Most questions about an edit have to be asked of
// both: a rule that moves leaves one place and comes to another.
type graphs struct{ before, after *unit.Graph }

// entangled adds the packages that are entangled with the given ones, before or after the edit. They are
// compiled, and replaced in the rule tree, together. It goes back and forth until neither graph adds one:
// what is entangled after the edit with one may have been entangled before it with a third.
func (g graphs) entangled(packages unit.Set) unit.Set {
	for {
		size := len(packages)
		packages = g.before.Entangled(g.after.Entangled(packages))
		if len(packages) == size {
			return packages
		}
	}
}

// dependents are the packages that refer to one of the places, with those entangled with them. The graph after
// is enough: a package whose references changed is in the first wave already.
func (g graphs) dependents(places []unit.Key) unit.Set {
	return g.entangled(g.after.Dependents(sortedPlaces(places)))
}

// closesOver reports whether the package refers, directly or through others, to one of packages, before or
// after the edit.
func (g graphs) closesOver(key unit.Key, packages unit.Set) bool {
	for _, graph := range []*unit.Graph{g.after, g.before} {
		for other := range graph.Closure(unit.SetOf(key)) {
			if packages[other] {
				return true
			}
		}
	}
	return false
}
