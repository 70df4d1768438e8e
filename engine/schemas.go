package engine

import (
	"maps"
	"slices"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/advice"
	"defenseclaw/engine/internal/builtins"
	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/dialect"

	"github.com/open-policy-agent/opa/v1/ast"
)

// CheckSchemas compares what the modules read with the schemas of their METADATA annotations, as "opa check" does.
// Annotations name schemas of set, or define their own; the schema at [ast.SchemaRootRef] is that of input in all
// modules. If set is nil, only schemas that annotations define are checked. [Load] and decisions ignore schemas. A schema
// that refers to a file or a host is an error of its own; neither is opened.
func (g *Generation) CheckSchemas(set *ast.SchemaSet) (wrong diagnostic.List, err error) {
	defer contain.Panic("check the schemas", &err)
	c := schemaCheck{modules: modulesOf(g.parsed)}
	refuse := func(name string, at *ast.Location, err error) {
		refused := ast.NewError(ast.TypeErr, at, "%s: %v", name, err)
		wrong = append(wrong, diagnostic.FromOPA(ast.Errors{refused}, g.reading.Source)...)
	}
	c.prepare(set, refuse)
	if len(wrong) > 0 || !c.any {
		return wrong.Sorted(), nil // without schemas, the compiler of Load has found all there is
	}
	compiler := dialect.NewSchemaCompiler(c.set)
	compiler.Compile(c.modules)
	wrong = diagnostic.FromOPA(compiler.Errors, g.reading.Source)
	return advice.Add(wrong, g.parsed, g.reading.Source).Sorted(), nil
}

// schemaCheck is what OPA's compiler is given: only schemas of which it can make a type.
type schemaCheck struct {
	modules map[string]*ast.Module
	set     *ast.SchemaSet // those of the caller's set that are used; nil if there is no set
	any     bool           // there is a schema to check by
}

// prepare reports each schema that must not be compiled, with the first annotation that has it.
func (c *schemaCheck) prepare(from *ast.SchemaSet, refuse func(name string, at *ast.Location, err error)) {
	if from != nil {
		c.set = ast.NewSchemaSet()
	}
	seen := map[string]bool{}
	use := func(name ast.Ref, at *ast.Location) {
		schema := from.Get(name)
		if key := name.String(); schema != nil && !seen[key] {
			seen[key], c.any = true, true
			if prepared, err := builtins.TypeSchema(schema); err != nil {
				refuse(key, at, err)
			} else {
				c.set.Put(name, prepared)
			}
		}
	}
	use(ast.SchemaRootRef, nil)
	for _, path := range slices.Sorted(maps.Keys(c.modules)) {
		module := c.modules[path]
		if !slices.ContainsFunc(module.Annotations, func(a *ast.Annotations) bool { return len(a.Schemas) > 0 }) {
			continue
		}
		module = module.Copy() // the generation's own stays as it was read
		c.modules[path] = module
		for _, a := range module.Annotations {
			for _, s := range a.Schemas {
				if s.Definition == nil {
					c.any = c.any || from != nil // a name that the set lacks is the compiler's to report
					use(s.Schema, a.Location)
					continue
				}
				c.any = true
				prepared, err := builtins.TypeSchema(*s.Definition)
				if err != nil {
					refuse("schema of "+s.Path.String(), a.Location, err)
				}
				s.Definition = &prepared
			}
		}
	}
}
