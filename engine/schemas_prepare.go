package engine

import (
	"maps"
	"slices"

	"defenseclaw/engine/internal/builtins"

	"github.com/open-policy-agent/opa/v1/ast"
)

// schemaCheck is what OPA's compiler is given: only schemas of which it can make a type.
type schemaCheck struct {
	modules map[string]*ast.Module
	set     *ast.SchemaSet // those of the caller's set that are used; nil if there is no set
	any     bool           // there is a schema to check by
}

// annotate gives packages the schema of input that they have, where one of their annotations does not.
func (c *schemaCheck) annotate(ofInput map[string]any) {
	done := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(c.modules)) {
		module := c.modules[path]
		pkg := module.Package.Path.String()
		schema, has := ofInput[pkg]
		if !has || done[pkg] || slices.ContainsFunc(c.modulesOf(pkg), hasPackageAnnotation) && !hasPackageAnnotation(module) {
			continue // a package has one annotation of its own, in one of its modules
		}
		done[pkg] = true
		module = module.Copy()
		c.modules[path] = module
		own := &ast.SchemaAnnotation{Path: ast.InputRootRef, Definition: &schema}
		if i := slices.IndexFunc(module.Annotations, isOfPackage); i >= 0 {
			module.Annotations[i].Schemas = append([]*ast.SchemaAnnotation{own}, module.Annotations[i].Schemas...)
			continue
		}
		a := &ast.Annotations{Scope: "package", Schemas: []*ast.SchemaAnnotation{own}, Location: module.Package.Location}
		module.Annotations = append(module.Annotations, a.Copy(module.Package))
	}
}

func (c *schemaCheck) modulesOf(pkg string) (all []*ast.Module) {
	for _, m := range c.modules {
		if m.Package.Path.String() == pkg {
			all = append(all, m)
		}
	}
	return all
}

func hasPackageAnnotation(m *ast.Module) bool { return slices.ContainsFunc(m.Annotations, isOfPackage) }

func isOfPackage(a *ast.Annotations) bool { return a.Scope == "package" }

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
