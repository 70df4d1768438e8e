package compile

import (
	"maps"
	"slices"

	"defenseclaw/engine/internal/unit"
)

// order sorts the packages of a wave topologically: a package is compiled after those that it refers to,
// against stubs of their rules. Packages that cannot be compiled against stubs are compiled together with
// everything that they refer to.
//
// The order matters since a package is compiled once in an edit: [change.nextWave] leaves out what is
// compiled. If it were compiled against a type that changes later, the old type would stay in its own. So
// every type that a stub has is final (invariant 4).
type order struct {
	c *change
	s *recompiled // what is compiled already

	againstStubs map[unit.Key]*needs     // packages to compile against stubs
	waits        map[unit.Key]int        // how many packages of the wave each of them waits for
	users        map[unit.Key][]unit.Key // which of them wait for a package
	ready        unit.Set                // those that wait for none
	withClosure  unit.Set                // packages to compile with their closure
	reaches      map[unit.Key]unit.Reach // by reference: most references are to the same few libraries
	settled      map[unit.Key]bool       // answers of isSettled, each of which walks two closures
}

// needs is what a package refers to in others.
type needs struct {
	packages []unit.Key
	rules    []unit.RuleAt
}

func newOrder(c *change, wave unit.Set, s *recompiled) *order {
	o := &order{
		c: c, s: s, againstStubs: map[unit.Key]*needs{}, waits: map[unit.Key]int{}, users: map[unit.Key][]unit.Key{},
		ready: unit.Set{}, withClosure: unit.Set{}, reaches: map[unit.Key]unit.Reach{}, settled: map[unit.Key]bool{},
	}
	for key := range wave {
		n := o.needsOf(key)
		if n != nil && slices.ContainsFunc(n.packages, func(other unit.Key) bool { return !wave[other] && !o.isSettled(other) }) {
			n = nil // a later wave may change the type that a stub would have
		}
		if n == nil {
			o.withClosure[key] = true
			continue
		}
		o.againstStubs[key] = n
		for _, other := range n.packages {
			if wave[other] {
				o.waits[key]++
				o.users[other] = append(o.users[other], key)
			}
		}
		if o.waits[key] == 0 {
			o.ready[key] = true
		}
	}
	return o
}

// left reports whether packages remain to be compiled. Those that are ready are among alone until next returns them.
func (o *order) left() bool { return len(o.againstStubs)+len(o.withClosure) > 0 }

// next returns the packages to compile next, and the stubs to compile them against; nil stubs mean with
// their closure. The caller adds what it compiled to o.s before it calls next again.
func (o *order) next() (packages unit.Set, stubs *stubs) {
	if len(o.ready) > 0 {
		packages, o.ready = o.ready, unit.Set{}
		stubs = o.stubsFor(packages)
	} else {
		if len(o.withClosure) == 0 {
			o.breakCycles()
		}
		packages, o.withClosure = o.withClosure, unit.Set{}
	}
	// Those with a closure count as well: o.s has them once the caller compiled them.
	maps.DeleteFunc(o.againstStubs, func(key unit.Key, _ *needs) bool { return packages[key] })
	for key := range packages {
		for _, user := range o.users[key] {
			if o.waits[user]--; o.waits[user] == 0 && o.againstStubs[user] != nil {
				o.ready[user] = true
			}
		}
	}
	return packages, stubs
}

// breakCycles moves packages that refer to each other in a cycle to those compiled with their closure. Rego
// allows it where no rule is recursive; where one is, the compiler of the closure finds it (invariant 6).
// It is called when nothing is ready, and then some package of the wave waits for itself: next always returns
// a package, so compileWave ends.
func (o *order) breakCycles() {
	for key, n := range o.againstStubs {
		if o.c.graphs.after.Closure(unit.SetOf(n.packages...))[key] {
			o.withClosure[key] = true
		}
	}
}

// needsOf returns nil for a package that cannot be compiled against stubs: it is entangled with another,
// refers to more than single rules by their names, reads the metadata of other packages, or replaces
// something by with, which needs to know what other rules refer to in turn.
func (o *order) needsOf(key unit.Key) *needs {
	p := o.c.graphs.after.Package(key)
	if p == nil || len(o.c.graphs.entangled(unit.SetOf(key))) > 1 {
		return nil
	}
	n := &needs{}
	for _, m := range p.Modules {
		if m.Replaces || m.ReadsChain {
			return nil
		}
		for _, ref := range m.Refs {
			r, found := o.reaches[ref]
			if !found {
				r = o.c.graphs.after.Reach(ref)
				o.reaches[ref] = r
			}
			if slices.Equal(r.Packages, []unit.Key{key}) {
				continue
			}
			if !r.Exact {
				return nil
			}
			n.add(r, key)
		}
	}
	return n
}

func (n *needs) add(r unit.Reach, own unit.Key) {
	for _, other := range r.Packages {
		if other != own && !slices.Contains(n.packages, other) {
			n.packages = append(n.packages, other)
		}
	}
	for _, at := range r.Rules {
		if at.Package != own && !slices.Contains(n.rules, at) {
			n.rules = append(n.rules, at)
		}
	}
}

// isSettled reports whether a package outside of the wave is already, compiled, what it will be after the
// edit (invariant 4). Both graphs are asked, though an unchanged package has the same references in both:
// a graph follows them to the packages that it has. One that the edit removes is in the graph before alone,
// one that it adds in the graph after alone, and either may change the type of what refers to it. Until that
// is compiled, in a later wave, its old type stands in the table.
// TestAPackageIsSettledIfItIsInBothGraphs has an edit of each kind.
func (o *order) isSettled(key unit.Key) bool {
	if o.s.packages[key] != nil {
		return true
	}
	is, asked := o.settled[key]
	if !asked {
		is = o.c.before.packages.Get(key) != nil && !o.c.graphs.closesOver(key, o.c.changed)
		o.settled[key] = is
	}
	return is
}
