package unit

import (
	"fmt"
	"slices"
	"strings"
)

// WhyWhole returns why one of the packages can only be compiled together with the whole corpus, or "".
//
// OPA's type checker orders the rules by which references can find which rules. In three cases a
// reference cannot find a rule, and still gets its type from it if that rule happened to be checked
// before. Types, and with them errors, then depend on what else is compiled at the same time:
//
//   - a rule's name has a fixed part after a variable: data.p.x.a reads past p[k].b without finding it;
//   - other rules lie below the place of a rule with a variable in its name;
//   - data.system is hidden from references to data, or to data.system as a whole.
func (g *Graph) WhyWhole(packages Set) string {
	for key := range packages {
		for _, rule := range g.Package(key).Rules() {
			if rule.General {
				return fmt.Sprintf("the name of rule %s has a fixed part after a variable", rule.Path)
			}
			if !rule.Whole && g.hasBelow(key, rule.Path) {
				return fmt.Sprintf("other rules lie below rule %s, whose name has a variable", rule.Path)
			}
		}
		why := ""
		key.above(func(above Key) {
			for _, rule := range g.Package(above).Rules() {
				if above != key && !rule.Whole && rule.Path.Holds(key) {
					why = fmt.Sprintf("package %s lies below rule %s, whose name has a variable", key, rule.Path)
				}
			}
		})
		if why != "" {
			return why
		}
	}
	return g.whySystem()
}

// hasBelow reports whether a rule of the package, or another package, lies below place.
func (g *Graph) hasBelow(key, place Key) bool {
	return len(g.below(place)) > 0 || slices.ContainsFunc(g.Package(key).Rules(), func(r Rule) bool {
		return r.Path != place && place.Holds(r.Path)
	})
}

func (g *Graph) whySystem() string {
	const system Key = "system" + endMark
	if len(g.below(system)) == 0 {
		return ""
	}
	for key, p := range g.packages.All() {
		if p.any(func(m *Module) bool {
			return slices.ContainsFunc(m.Refs, func(ref Key) bool { return ref == "" || ref == system })
		}) {
			return fmt.Sprintf("package %s refers to hidden packages as a whole", key)
		}
	}
	return ""
}

// String returns the path in Rego's notation, for messages.
func (k Key) String() string {
	return "data" + strings.TrimSuffix("."+strings.ReplaceAll(strings.TrimSuffix(string(k), endMark), endMark, "."), ".")
}
