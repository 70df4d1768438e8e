package engine

import (
	"context"
	"fmt"
	"slices"

	"defenseclaw/engine/internal/store"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown/print"
)

// AdHoc is a query of a caller, and where it stands: names in it are those of a package and of imports.
type AdHoc struct {
	Query   ast.Body
	Package *ast.Package // nil: none
	Imports []*ast.Import
	Print   print.Hook // what print() of the query and of the policy calls; nil: nothing
}

// Prepared is a query that was compiled with the policy of one generation. Not safe for concurrent use.
type Prepared struct {
	g     *Generation
	query rego.PreparedEvalQuery
	left  *allowance
}

// Prepare compiles a query under the rules of [Generation.Query]. Of o it uses Lenient, Metrics and Instrument.
func (g *Generation) Prepare(ctx context.Context, q AdHoc, o Observation) (*Prepared, error) {
	if err := checkQuery(q.Query); err != nil {
		return nil, fmt.Errorf("compile the query: %w", err)
	}
	p := &Prepared{g: g, left: new(allowance)}
	query, err := runAdHoc(ctx, g, "compile the query", func(ctx context.Context) (rego.PreparedEvalQuery, error) {
		options := append(g.adHoc(o, nil),
			rego.ParsedQuery(q.Query.Copy()), rego.ParsedPackage(q.Package), rego.ParsedImports(g.importsIn(q.Package, q.Imports)),
			rego.GenerateJSON(g.rowsOf(p.left)))
		if q.Print != nil {
			options = append(options, rego.EnablePrintStatements(true), rego.PrintHook(q.Print))
		}
		prepared, err := rego.New(options...).PrepareForEval(ctx)
		if err != nil {
			return prepared, fmt.Errorf("compile the query: %w", asEnded(ctx, err))
		}
		return prepared, nil
	})
	p.query = query
	return p, err
}

// Eval evaluates the query with an input, nil for none, as [Generation.Query] does. Lenient and Instrument of o must be those
// of [Generation.Prepare].
func (p *Prepared) Eval(ctx context.Context, input ast.Value, o Observation) (rego.ResultSet, error) {
	*p.left = allowance{g: p.g, left: p.g.MaxAnswerBytes()}
	return runAdHoc(ctx, p.g, "evaluate the query", func(ctx context.Context) (rego.ResultSet, error) {
		ctx, tracer := o.tracer(ctx)
		set, err := p.query.Eval(ctx, append(o.options(tracer), rego.EvalTransaction(store.Txn{}), rego.EvalParsedInput(input))...)
		if err != nil {
			return nil, fmt.Errorf("evaluate the query: %w", asEnded(ctx, err))
		}
		return set, nil
	})
}

// importsIn are imports, and those of the rules of pkg, which may be nil: a query in a package names its rules. OPA's compiler
// would look for them in its modules, which the compiler of a generation does not keep.
func (g *Generation) importsIn(pkg *ast.Package, imports []*ast.Import) []*ast.Import {
	if pkg == nil {
		return imports
	}
	known := map[ast.Var]bool{}
	for _, i := range imports {
		known[i.Name()] = true
	}
	all := slices.Clone(imports)
	for _, f := range g.Files() {
		m := g.Module(f.Path)
		if m == nil || !m.Package.Path.Equal(pkg.Path) {
			continue
		}
		for _, rule := range m.Rules {
			if name, ok := rule.Head.Ref()[0].Value.(ast.Var); ok && !known[name] {
				known[name] = true
				all = append(all, &ast.Import{Path: ast.NewTerm(pkg.Path.Append(ast.StringTerm(string(name))))})
			}
		}
	}
	return all
}
