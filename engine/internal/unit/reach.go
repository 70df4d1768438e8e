package unit

import "slices"

// Reach is what one reference can find.
type Reach struct {
	Packages []Key    // the packages it finds something of, each once
	Rules    []RuleAt // the rules at or above the reference's place, each place once
	Exact    bool     // it finds nothing but Rules: no package as a whole, and no rule below its place
}

// RuleAt is the rules at one place.
type RuleAt struct {
	Package Key
	Place   Key
}

// Reach returns what a reference to place can find.
func (g *Graph) Reach(place Key) Reach {
	r := Reach{Packages: slices.Clone(g.below(place))}
	r.Exact = len(r.Packages) == 0
	place.above(func(key Key) {
		p := g.Package(key)
		if p == nil || key == place {
			return
		}
		found := false
		for _, rule := range p.Rules() {
			switch at := (RuleAt{Package: key, Place: rule.Path}); {
			case rule.Path.Holds(place):
				found = true
				if !slices.Contains(r.Rules, at) {
					r.Rules = append(r.Rules, at)
				}
			case place.Holds(rule.Path):
				found, r.Exact = true, false
			}
		}
		if found {
			r.Packages = append(r.Packages, key)
		}
	})
	return r
}
