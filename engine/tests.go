package engine

import (
	"cmp"
	"context"
	"io/fs"
	"slices"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/compile"
	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Tests are the *_test.rego files that lie beside a policy, parsed. They are no part of its generation: a change of tests
// alone changes no decision. They never change. Safe for concurrent use.
type Tests struct {
	reading *source.Reading
	parsed  []*parse.File // in the order of their paths
}

// ReadTests reads the tests that lay in src while it held the files of g; an error wraps [source.ErrMoved] if src holds
// others by now, and is otherwise a *[Refused] or ctx's. With g nil, src is one that cannot change. What before, which may
// be nil, holds unchanged is not parsed again. That a test does not parse is no error: see [Tests.Wrong].
func ReadTests(ctx context.Context, src fs.FS, g *Generation, limits source.Limits, before *Tests) (_ *Tests, err error) {
	defer contain.Panic("read the tests", &err)
	o := source.Options{Limits: limits}
	var was *source.Reading
	var parsed []*parse.File
	if before != nil {
		was, parsed = before.reading, before.parsed
		o.Earlier = source.Earlier{Reading: was, Previous: was}
	}
	var of *source.Reading
	if g != nil {
		of = g.reading
	}
	reading, err := readBy(ctx, o, func(o source.Options) (*source.Reading, error) { return source.ReadTests(ctx, src, o, of) })
	if err != nil {
		return nil, err
	}
	if before != nil && reading.SameContent(was) {
		return before, nil
	}
	all, _, err := parse.All(ctx, reading, was, parsed)
	if err != nil {
		return nil, err
	}
	return &Tests{reading: reading, parsed: all}, nil
}

// Files are the files of the tests, sorted by path. t may be nil. Not to be changed.
func (t *Tests) Files() []*source.File {
	if t == nil {
		return nil
	}
	return t.reading.Files()
}

// Revision names what the tests are, as [Generation.Revision] does for a policy. It is empty if t is nil.
func (t *Tests) Revision() string {
	if t == nil {
		return ""
	}
	return t.reading.Revision()
}

// Wrong is what does not parse. t may be nil.
func (t *Tests) Wrong() diagnostic.List {
	var wrong diagnostic.List
	for _, p := range t.files() {
		wrong = append(wrong, p.Wrong...)
	}
	return wrong.Sorted()
}

func (t *Tests) files() []*parse.File {
	if t == nil {
		return nil
	}
	return t.parsed
}

// Suite is all tests of files that parse, and none of the policy. t may be nil. It is for [review.Review.WithTests] and
// cannot be run.
func (t *Tests) Suite() *Suite { return &Suite{Modules: modulesOf(t.files())} }

// SuiteOf is the suite of those of the tests whose results can differ from those that before, the tests beside base, had:
// of every package that changed, or that refers, directly or through others, to a package or to data that did. Its
// Only has the packages whose tests to run: those that changed first, then by their distance from what did. Its modules
// are these and what they refer to. It is nil if there is no such test, and has all if base is nil. tests and before may be
// nil.
func (g *Generation) SuiteOf(tests *Tests, base *Generation, before *Tests) *Suite {
	units := unitsOf(tests.files())
	var distances map[unit.Key]int
	var graph *unit.Graph
	if base == nil {
		graph, distances = g.policy.Graph().With(nil, units), map[unit.Key]int{}
		for _, m := range units {
			distances[m.Package] = 0
		}
	} else {
		edit := editSince(base.parsed, g.parsed).forCompile(g.data)
		distances, graph = g.policy.AffectedTests(base.policy, base.data.Root(), edit, compile.Tests{Before: unitsOf(before.files()), After: units})
	}
	tested := unit.Set{}
	paths := map[unit.Key]ast.Ref{}
	for _, m := range units {
		if _, affected := distances[m.Package]; affected {
			tested[m.Package], paths[m.Package] = true, m.Path
		}
	}
	if len(tested) == 0 {
		return nil
	}
	suite := &Suite{Store: g.data, Modules: map[string]*ast.Module{}}
	for key := range graph.Closure(graph.Entangled(tested)) {
		for _, m := range graph.Package(key).Modules {
			suite.Modules[m.File] = m.Syntax.Module()
		}
	}
	order := tested.Sorted()
	slices.SortStableFunc(order, func(a, b unit.Key) int { return cmp.Compare(distances[a], distances[b]) })
	for _, key := range order {
		suite.Only = append(suite.Only, paths[key])
	}
	return suite
}
