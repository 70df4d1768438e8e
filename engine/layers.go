package engine

import (
	"maps"
	"slices"

	"defenseclaw/engine/internal/unit"
)

// layers orders the packages of a wave so that most are compiled after those they refer to, and
// without them: what others can see of a compiled package is all that the compiler is told of it. The
// rest are compiled together with all that they refer to.
type layers struct {
	c *change
	s *spliced // what was compiled before

	alone    map[unit.Key]*needs     // the packages that can be compiled without others
	waits    map[unit.Key]int        // for how many of its needs each of them waits
	users    map[unit.Key][]unit.Key // which of them wait for a package
	ready    unit.Set                // those that wait for nothing more
	together unit.Set                // the others
	reaches  map[unit.Key]unit.Reach // by reference: most are to the same few libraries
	settled  map[unit.Key]bool
}

// needs is what a package refers to in others.
type needs struct {
	packages []unit.Key
	rules    []unit.RuleAt
}

func newLayers(c *change, packages unit.Set, s *spliced) *layers {
	l := &layers{
		c: c, s: s, alone: map[unit.Key]*needs{}, waits: map[unit.Key]int{}, users: map[unit.Key][]unit.Key{},
		ready: unit.Set{}, together: unit.Set{}, reaches: map[unit.Key]unit.Reach{}, settled: map[unit.Key]bool{},
	}
	for key := range packages {
		n := l.needsOf(key)
		if n != nil && slices.ContainsFunc(n.packages, func(other unit.Key) bool { return !packages[other] && !l.isSettled(other) }) {
			n = nil
		}
		if n == nil {
			l.together[key] = true
			continue
		}
		l.alone[key] = n
		for _, other := range n.packages {
			if packages[other] {
				l.waits[key]++
				l.users[other] = append(l.users[other], key)
			}
		}
		if l.waits[key] == 0 {
			l.ready[key] = true
		}
	}
	return l
}

// left reports whether there are packages yet to compile.
func (l *layers) left() bool { return len(l.alone)+len(l.together) > 0 }

// next takes the packages to compile next. around is what they need to know of others, nil when they
// are to be compiled with those. Before it is called again, they have to be in l.s.
func (l *layers) next() (packages unit.Set, around *surroundings) {
	if len(l.ready) > 0 {
		packages, l.ready = l.ready, unit.Set{}
		around = l.surroundingsOf(packages)
	} else {
		if len(l.together) == 0 {
			l.breakCircles()
		}
		packages, l.together = l.together, unit.Set{}
	}
	maps.DeleteFunc(l.alone, func(key unit.Key, _ *needs) bool { return packages[key] })
	for key := range packages {
		for _, user := range l.users[key] {
			if l.waits[user]--; l.waits[user] == 0 && l.alone[user] != nil {
				l.ready[user] = true
			}
		}
	}
	return packages, around
}

// breakCircles has the packages compiled together that wait for themselves.
func (l *layers) breakCircles() {
	for key, n := range l.alone {
		if l.c.graph.Closure(unit.SetOf(n.packages...))[key] {
			l.together[key] = true
		}
	}
}

// needsOf is nil when a package cannot be compiled without others: when it is entangled, refers to
// more of a package than rules by their names, reads others' metadata, or evaluates them with
// something replaced, which takes knowing what they refer to in turn.
func (l *layers) needsOf(key unit.Key) *needs {
	p := l.c.graph.Package(key)
	if p == nil || len(l.c.entangled(unit.SetOf(key))) > 1 {
		return nil
	}
	n := &needs{}
	for _, m := range p.Modules {
		if m.Replaces || m.ReadsChain {
			return nil
		}
		for _, ref := range m.Refs {
			r, known := l.reaches[ref]
			if !known {
				r = l.c.graph.Reach(ref)
				l.reaches[ref] = r
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

// isSettled reports whether a package that is not in the wave is, compiled, what it will be after the
// change: it was compiled anew, or nothing that it refers to, directly or through others, has changed.
func (l *layers) isSettled(key unit.Key) bool {
	if l.s.packages[key] != nil {
		return true
	}
	is, known := l.settled[key]
	if !known {
		is = l.c.before.packages.Get(key) != nil
		for _, graph := range []*unit.Graph{l.c.graph, l.c.before.graph} {
			for other := range graph.Closure(unit.SetOf(key)) {
				is = is && !l.c.packages[other]
			}
		}
		l.settled[key] = is
	}
	return is
}
