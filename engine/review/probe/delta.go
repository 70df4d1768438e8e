package probe

import (
	"slices"
	"strings"

	"defenseclaw/engine"
	"defenseclaw/engine/review"

	"github.com/open-policy-agent/opa/v1/ast"
)

// side is one of the two generations.
type side int8

const (
	base side = iota
	candidate
)

// span is the lines of a clause.
type span struct {
	file     string
	from, to int
}

// change is what an edit changed, as far as a search needs to know.
type change struct {
	spans    [2][]span
	rules    [2][]*ast.Rule // clauses that the other side has not
	packages []ast.Ref      // that have such rules, or can see them, or changed data
	same     bool
}

// changeOf compares two generations. same is only said where nothing that could be asked for can differ.
func changeOf(from, to *engine.Generation) *change {
	c := &change{}
	r := review.Of(from, to)
	moved := func(rule review.Rule) bool { return rule.Change == review.Moved }
	c.same = !slices.ContainsFunc(r.Rules, func(rule review.Rule) bool { return !moved(rule) }) &&
		len(r.Defaults) == 0 && len(r.Data) == 0 && len(r.Packages.Added)+len(r.Packages.Removed) == 0
	delta := engine.DeltaOf(from, to)
	var changed, places []ast.Ref
	for _, p := range delta.Packages {
		gone, come := unmatched(p.Before, p.After), unmatched(p.After, p.Before)
		c.add(base, gone)
		c.add(candidate, come)
		if len(gone)+len(come) > 0 {
			changed = append(changed, p.Path)
		}
	}
	for _, d := range r.Data {
		if ref, err := ast.ParseRef(d.Path); err == nil {
			places = append(places, ref)
		}
	}
	c.packages = append(c.packages, changed...)
	c.packages = append(c.packages, delta.Affected(changed, places)...)
	c.addReaders(base, from, places)
	c.addReaders(candidate, to, places)
	return c
}

// addReaders adds the clauses that read a place of the data that differs.
func (c *change) addReaders(s side, g *engine.Generation, places []ast.Ref) {
	if len(places) == 0 {
		return
	}
	reads := func(ref ast.Ref) bool {
		ground := ref.GroundPrefix()
		return slices.ContainsFunc(places, func(at ast.Ref) bool {
			n := min(len(at), len(ground))
			return n > 1 && at[:n].Equal(ground[:n])
		})
	}
	for _, ref := range c.packages {
		path, ok := pathOf(ref)
		if !ok {
			continue
		}
		for _, m := range modulesOf(g, path) {
			for _, rule := range m.Rules {
				found := false
				ast.WalkRefs(rule, func(ref ast.Ref) bool {
					found = found || reads(ref)
					return found
				})
				if found {
					c.add(s, []*ast.Rule{rule})
				}
			}
		}
	}
}

func (c *change) add(s side, rules []*ast.Rule) {
	for _, rule := range rules {
		c.rules[s] = append(c.rules[s], rule)
		if loc := rule.Location; loc != nil {
			c.spans[s] = append(c.spans[s], span{loc.File, loc.Row, loc.Row + strings.Count(string(loc.Text), "\n")})
		}
	}
}

// changedAt reports whether a place is in a clause that changed.
func (c *change) changedAt(s side) func(*ast.Location) bool {
	return func(loc *ast.Location) bool {
		return loc != nil && slices.ContainsFunc(c.spans[s], func(sp span) bool {
			return sp.file == loc.File && sp.from <= loc.Row && loc.Row <= sp.to
		})
	}
}

// unmatched lists the rules of a package that the other side has not, default values included.
func unmatched(here, there []*ast.Module) (rules []*ast.Rule) {
	left := map[string]int{}
	each := func(modules []*ast.Module, f func(key string, rule *ast.Rule)) {
		for _, m := range modules {
			for _, rule := range m.Rules {
				f(rule.Ref().String()+"\x00"+review.Normal(rule), rule)
			}
		}
	}
	each(there, func(key string, _ *ast.Rule) { left[key]++ })
	each(here, func(key string, rule *ast.Rule) {
		if left[key]--; left[key] < 0 {
			rules = append(rules, rule)
		}
	})
	return rules
}

// learn fills in the constants of the edit: those of rules that one side has and the other has not first.
func (k *known) learn(c *change, from, to *engine.Generation) {
	var constants [2][]any
	for s := range c.rules {
		for _, rule := range c.rules[s] {
			constants[s] = append(constants[s], constantsOf(rule)...)
		}
	}
	texts := [2]map[string]bool{{}, {}}
	for s := range constants {
		for _, v := range constants[s] {
			texts[s][textOf(v)] = true
		}
	}
	for _, both := range []bool{false, true} {
		for s := range constants {
			for _, v := range constants[s] {
				if texts[1-s][textOf(v)] == both {
					k.addDelta(v)
				}
			}
		}
	}
	k.learnData(from.Data(), to.Data())
}

func constantsOf(rule *ast.Rule) (all []any) {
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.Ref:
			return true
		case ast.String, ast.Number:
			if p, ok := plain(v); ok {
				all = append(all, p)
			}
		}
		return false
	})
	return all
}

// learnData notes what of the data differs: leaves, keys and elements. Objects of the data serve as templates.
func (k *known) learnData(before, after ast.Object) {
	var walk func(a, b ast.Value, depth int)
	walk = func(a, b ast.Value, depth int) {
		if a != nil && b != nil && a.Compare(b) == 0 || depth > 12 {
			return
		}
		x, isX := a.(ast.Object)
		y, isY := b.(ast.Object)
		if isX && isY {
			for _, key := range keysOf(x, y) {
				was, is := valueAt(x, key), valueAt(y, key)
				if was == nil || is == nil {
					if p, ok := plain(key.Value); ok {
						k.addDelta(p)
					}
				}
				walk(was, is, depth+1)
			}
			return
		}
		for _, pair := range [][2]ast.Value{{a, b}, {b, a}} {
			k.learnValue(pair[0], pair[1])
		}
	}
	walk(before, after, 0)
	for _, o := range []ast.Object{after, before} {
		k.learnObjects(o, 0)
	}
}

func keysOf(a, b ast.Object) []*ast.Term {
	all := slices.Clone(a.Keys())
	for _, key := range b.Keys() {
		if a.Get(key) == nil {
			all = append(all, key)
		}
	}
	return all
}

func valueAt(o ast.Object, key *ast.Term) ast.Value {
	if t := o.Get(key); t != nil {
		return t.Value
	}
	return nil
}

// learnValue notes the parts of a value that the other one has not.
func (k *known) learnValue(v, other ast.Value) {
	list, isList := v.(*ast.Array)
	if !isList {
		if p, ok := plain(v); ok && v != nil {
			k.addDelta(p)
			k.addLeaves(p)
			k.addTemplate(p)
		}
		return
	}
	have := map[string]bool{}
	for _, t := range elementsOf(other) {
		have[t.Value.String()] = true
	}
	list.Foreach(func(t *ast.Term) {
		if !have[t.Value.String()] {
			if p, ok := plain(t.Value); ok {
				k.addDelta(p)
				k.addLeaves(p)
				k.addTemplate(p)
			}
		}
	})
}

// addLeaves adds what an object or a list holds.
func (k *known) addLeaves(v any) {
	for _, at := range placesOf(v) {
		part, _ := get(v, at)
		switch part.(type) {
		case map[string]any, []any:
		default:
			k.addDelta(part)
		}
	}
}

func (k *known) addTemplate(v any) {
	if o, ok := v.(map[string]any); ok && len(k.objects) < maxObjects {
		k.objects = append(k.objects, o)
	}
}

// learnObjects takes objects that are elements of lists of the data.
func (k *known) learnObjects(v ast.Value, depth int) {
	if depth > 6 || len(k.objects) >= maxObjects {
		return
	}
	switch v := v.(type) {
	case ast.Object:
		for i, key := range v.Keys() {
			if i > 200 {
				break
			}
			k.learnObjects(v.Get(key).Value, depth+1)
		}
	case *ast.Array:
		for i := range min(v.Len(), 8) {
			if o, ok := v.Elem(i).Value.(ast.Object); ok {
				if p, ok := plain(o); ok {
					k.addTemplate(p)
				}
			}
		}
	}
}
