package engine

import (
	"maps"
	"slices"
	"sync"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/advice"
	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
)

// CheckSchemas compares what the modules read with the schemas of their METADATA annotations, as "opa check" does.
// Annotations name schemas of set, or define their own; the schema at [ast.SchemaRootRef] is that of input in all
// modules. If set is nil, only schemas that annotations define are checked. [Load] and decisions ignore schemas. A schema
// that refers to a file or a host is an error of its own; neither is opened. ofInput are schemas of input in packages, by
// their path such as data.system.reload; annotations of a rule go before them. It may be nil.
func (g *Generation) CheckSchemas(set *ast.SchemaSet, ofInput map[string]any) (diagnostic.List, error) {
	return NewSchemaChecks(set, ofInput).Check(g)
}

// SchemaChecks is [Generation.CheckSchemas] for one generation after the other: it compiles what an edit can have changed. Only
// packages that a schema is about, and those that read them, can have something wrong by schemas, so only these are compiled,
// each with what it refers to. Safe for concurrent use.
type SchemaChecks struct {
	set     *ast.SchemaSet
	ofInput map[string]any
	given   unit.Set // the packages of ofInput

	mu      sync.Mutex // guards the fields below
	last    *unit.Graph
	parsed  []*parse.File                // of last
	found   map[unit.Key]diagnostic.List // by package that was compiled
	refused map[unit.Key]diagnostic.List // by package: schemas that must not be compiled. With one, nothing is
	nowhere diagnostic.List              // the same, of no package
}

// NewSchemaChecks takes what [Generation.CheckSchemas] does.
func NewSchemaChecks(set *ast.SchemaSet, ofInput map[string]any) *SchemaChecks {
	c := &SchemaChecks{
		set: set, ofInput: ofInput, given: unit.Set{},
		last: unit.New(nil), found: map[unit.Key]diagnostic.List{}, refused: map[unit.Key]diagnostic.List{},
	}
	for path := range ofInput {
		if ref, err := ast.ParseRef(path); err == nil {
			c.given[unit.PathKey(ref)] = true
		}
	}
	return c
}

// Check returns what is wrong in a generation, sorted.
func (c *SchemaChecks) Check(g *Generation) (wrong diagnostic.List, err error) {
	defer contain.Panic("check the schemas", &err)
	c.mu.Lock()
	defer c.mu.Unlock()
	graph := g.policy.Graph()
	concerned := c.concerned(graph)
	stale := c.stale(g, graph, concerned)
	last := func(key unit.Key, _ diagnostic.List) bool { return !concerned[key] || stale[key] }
	maps.DeleteFunc(c.found, last)
	maps.DeleteFunc(c.refused, last)
	c.last, c.parsed = graph, g.parsed
	if len(stale) > 0 {
		c.compile(g, graph, stale)
	}
	wrong = slices.Clone(c.nowhere)
	for _, list := range c.refused {
		wrong = append(wrong, list...)
	}
	if len(wrong) == 0 {
		for _, list := range c.found {
			wrong = append(wrong, list...)
		}
	}
	return wrong.Sorted(), nil
}

// concerned are the packages that a schema is about, and those that read them.
func (c *SchemaChecks) concerned(graph *unit.Graph) unit.Set {
	about := unit.Set{}
	everywhere := c.set.Get(ast.SchemaRootRef) != nil
	var below []unit.Key
	for _, key := range graph.Keys() {
		p := graph.Package(key)
		for _, m := range p.Modules {
			if everywhere || m.HasSchemas || c.given[key] {
				about[key] = true
			}
			if m.HasSchemas && m.DescribesSubpackages {
				below = append(below, key)
			}
		}
	}
	for _, key := range graph.Keys() {
		if !about[key] && slices.ContainsFunc(below, func(above unit.Key) bool { return above.Holds(key) }) {
			about[key] = true
		}
	}
	if len(about) > 0 && !everywhere {
		about.Add(graph.Readers(slices.Collect(maps.Keys(about))))
	}
	return about
}

// stale are the packages of which nothing is known, or which read something that has changed since.
func (c *SchemaChecks) stale(g *Generation, graph *unit.Graph, concerned unit.Set) unit.Set {
	stale := unit.Set{}
	for key := range concerned {
		if _, known := c.found[key]; !known {
			stale[key] = true
		}
	}
	if len(stale) == len(concerned) {
		return stale
	}
	edit := editSince(c.parsed, g.parsed)
	touched := unit.Set{}
	for _, m := range slices.Concat(unitsOf(edit.removed), unitsOf(edit.added)) {
		touched[m.Package] = true
		if m.DescribesSubpackages {
			for key := range concerned {
				if m.Package.Holds(key) {
					touched[key] = true
				}
			}
		}
	}
	if len(touched) == 0 {
		return stale
	}
	places := slices.Collect(maps.Keys(touched))
	touched.Add(c.last.Readers(places))
	touched.Add(graph.Readers(places))
	for key := range touched {
		if concerned[key] {
			stale[key] = true
		}
	}
	return stale
}

// compile compiles packages with what they need, and keeps what is wrong in them.
func (c *SchemaChecks) compile(g *Generation, graph *unit.Graph, packages unit.Set) {
	needed := graph.Entangled(packages)
	for _, key := range graph.Keys() { // what describes the packages below it
		p := graph.Package(key)
		if slices.ContainsFunc(p.Modules, func(m *unit.Module) bool { return m.DescribesSubpackages }) {
			needed[key] = true
		}
	}
	check := schemaCheck{modules: map[string]*ast.Module{}}
	packageOf := map[string]unit.Key{}
	for key := range graph.Closure(needed) {
		for _, m := range graph.Package(key).Modules {
			check.modules[m.File], packageOf[m.File] = m.Syntax.Module(), key
		}
	}
	c.nowhere = nil
	refused := false
	refuse := func(name string, at *ast.Location, err error) {
		refused = true
		list := diagnostic.FromOPA(ast.Errors{ast.NewError(ast.TypeErr, at, "%s: %v", name, err)}, g.reading.Source)
		if key, ok := packageOf[list[0].File]; ok {
			c.refused[key] = append(c.refused[key], list[0])
			return
		}
		c.nowhere = append(c.nowhere, list...)
	}
	check.annotate(c.ofInput)
	check.prepare(c.set, refuse)
	if refused {
		return // the packages stay unknown
	}
	for key := range packages {
		c.found[key] = nil
	}
	if !check.any {
		return // without schemas, the compiler of Load has found all there is
	}
	compiler := dialect.NewSchemaCompiler(check.set)
	compiler.Compile(check.modules)
	for _, d := range advice.Add(diagnostic.FromOPA(compiler.Errors, g.reading.Source), g.parsed, g.reading.Source) {
		if key, ok := packageOf[d.File]; ok && packages[key] {
			c.found[key] = append(c.found[key], d)
		}
	}
}
