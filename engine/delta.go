package engine

import (
	"maps"
	"slices"

	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Delta is what two generations do not share. It names candidates for differences: what it leaves out is the same in
// both, and what it names may still mean the same. It takes time for the edit, not for everything, where the candidate
// was loaded from the base or from a generation that was.
type Delta struct {
	Files    []FilePair    // files with other content, by path
	Packages []PackagePair // packages with a module that was parsed anew, added or removed, by path

	base, candidate *Generation
}

// FilePair is one file of both generations; nil where it is missing.
type FilePair struct{ Before, After *source.File }

// PackagePair is the compiled modules of one package in both generations, in the order of their files; empty where
// there is no such package. Not to be changed.
type PackagePair struct {
	Path          ast.Ref
	Before, After []*ast.Module
}

// DeltaOf compares two generations; base may be nil.
func DeltaOf(base, candidate *Generation) *Delta {
	d := &Delta{base: base, candidate: candidate}
	if base == nil {
		base = &Generation{reading: &source.Reading{}}
	}
	source.EachPair(base.Files(), candidate.Files(), (*source.File).Rel, func(before, after *source.File) {
		if before == nil || after == nil || !before.SameContent(after) {
			d.Files = append(d.Files, FilePair{before, after})
		}
	})
	edit := editSince(base.parsed, candidate.parsed)
	touched := map[unit.Key]ast.Ref{}
	for _, m := range append(unitsOf(edit.removed), unitsOf(edit.added)...) {
		touched[m.Package] = m.Path
	}
	for _, key := range slices.Sorted(maps.Keys(touched)) {
		d.Packages = append(d.Packages, PackagePair{
			Path: touched[key], Before: d.base.modulesOf(key), After: candidate.modulesOf(key),
		})
	}
	return d
}

// modulesOf is the compiled modules of a package, tests left out. g may be nil.
func (g *Generation) modulesOf(key unit.Key) []*ast.Module {
	if g == nil {
		return nil
	}
	p := g.policy.Graph().Package(key)
	if p == nil {
		return nil
	}
	var files []string
	for _, m := range p.Modules {
		files = append(files, m.File)
	}
	slices.Sort(files)
	var modules []*ast.Module
	for _, file := range files {
		if m := g.Module(file); m != nil {
			modules = append(modules, m)
		}
	}
	return modules
}

// Affected returns the packages of the candidate, and of the base, whose rules can see one of the given packages or
// places of data, directly or through rules of others, sorted and without the given ones. Like the package graph, it may
// name too many and never too few.
func (d *Delta) Affected(packages, data []ast.Ref) []ast.Ref {
	return d.Reach(packages, data).Affected()
}

// readers are the packages whose rules can see one of the given packages or places.
func (d *Delta) readers(packages, data []ast.Ref) unit.Set {
	given, seeds := unit.Set{}, []unit.Key{}
	for _, ref := range packages {
		given[unit.PathKey(ref)] = true
	}
	for _, ref := range append(slices.Clone(packages), data...) {
		seeds = append(seeds, unit.PathKey(ref))
	}
	if len(seeds) == 0 {
		return nil
	}
	readers := d.candidate.policy.Graph().Readers(seeds)
	if d.base != nil {
		readers.Add(d.candidate.policy.Graph().ChainReaders(given, d.base.policy.Graph()))
	}
	return readers
}

// Reach is what a difference between two generations can reach.
type Reach struct {
	graphs   []*unit.Graph // the candidate's first
	given    unit.Set
	packages unit.Set // given and others
	data     []unit.Key
}

// Reach is that of the given packages and places of data. Like [Delta.Affected], it may be too wide and never too narrow.
func (d *Delta) Reach(packages, data []ast.Ref) *Reach {
	r := &Reach{graphs: []*unit.Graph{d.candidate.policy.Graph()}, given: unit.Set{}, packages: unit.Set{}}
	if d.base != nil {
		r.graphs = append(r.graphs, d.base.policy.Graph())
	}
	r.packages.Add(d.readers(packages, data))
	for _, ref := range packages {
		r.given[unit.PathKey(ref)] = true
	}
	r.packages.Add(r.given)
	for _, ref := range data {
		r.data = append(r.data, unit.PathKey(ref))
	}
	return r
}

// Affected is [Delta.Affected] of what it reaches.
func (r *Reach) Affected() []ast.Ref {
	var found []ast.Ref
	for _, key := range r.packages.Sorted() {
		if p := r.graphs[0].Package(key); p != nil && !r.given[key] {
			found = append(found, p.Modules[0].Path)
		}
	}
	return found
}

// Reaches reports whether the document at path can be another one in the two generations. The answer no is certain.
func (r *Reach) Reaches(path Path) bool {
	place := unit.PathKey(path.ref())
	if slices.ContainsFunc(r.data, place.Overlaps) {
		return true
	}
	for _, graph := range r.graphs {
		if slices.ContainsFunc(graph.Reach(place).Packages, func(key unit.Key) bool { return r.packages[key] }) {
			return true
		}
	}
	return false
}

// NewBuiltins lists the builtins that modules of the candidate call, or put in the place of a function by with, and no
// module of the base does: sorted, without those that have an operator.
func (d *Delta) NewBuiltins() []string {
	found := map[string]bool{}
	for _, pair := range d.Packages {
		p := d.candidate.policy.Graph().Package(unit.PathKey(pair.Path))
		if p == nil {
			continue
		}
		for _, m := range p.Modules {
			for _, name := range m.Builtins {
				found[name] = true
			}
		}
	}
	if d.base != nil && len(found) > 0 {
		for _, p := range d.base.parsed {
			if p.Unit == nil || p.Source.Kind() == source.KindTest {
				continue
			}
			for _, name := range p.Unit.Builtins {
				delete(found, name)
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// DataLeaves is the number of values in the data that are neither objects nor arrays; empty ones count as one. The first
// call for a document counts it.
func (g *Generation) DataLeaves() int { return g.data.Leaves() }
