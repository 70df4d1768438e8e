package compile

import (
	"cmp"
	"slices"
	"sync"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// Policy is everything compiled that decisions need, and the start of the next policy. It never changes.
// Safe for concurrent use.
type Policy struct {
	compiler *ast.Compiler
	graph    *unit.Graph
	packages *unit.Table[compiledPackage]

	// recent holds the syntax of the modules that were compiled for this policy, as long as they are few:
	// an author goes on with the files that he just edited. Other modules are parsed again when needed.
	// After a compilation as a whole it holds all, since the next edit compiles all.
	recent map[string]*ast.Module

	// replaced are the places whose rules some with replaces. The graph is only searched for them if somebody asks.
	replaced func() []unit.Key

	// whole is why nothing can be spliced into this policy; "" when it can.
	whyWhole string
}

// Compiler returns the compiler to evaluate with. It must not compile modules. A spliced policy's compiler
// has the rule tree, the types of functions and the indices; it has no modules, and other types are any.
// So a path's type is checked by [Policy.CheckPath].
func (p *Policy) Compiler() *ast.Compiler { return p.compiler }

// Graph is the package graph of the modules.
func (p *Policy) Graph() *unit.Graph { return p.graph }

// CompiledModule is the compiled module of a file of a package, nil when the package has no such file. Not to be
// changed.
func (p *Policy) CompiledModule(pkg unit.Key, file string) *ast.Module {
	if c := p.packages.Get(pkg); c != nil {
		return c.modules[file]
	}
	return nil
}

// CompiledFor is the compiled modules that a document needs, by file: those of the packages at and around its place,
// and of all that they refer to. The map is the caller's; the modules are not to be changed.
func (p *Policy) CompiledFor(ref ast.Ref) map[string]*ast.Module {
	all := map[string]*ast.Module{}
	reach := p.graph.Reach(unit.PathKey(ref))
	for key := range p.graph.Closure(p.graph.Entangled(unit.SetOf(reach.Packages...))) {
		for file, m := range p.packages.Get(key).modules {
			all[file] = m
		}
	}
	return all
}

// SyntaxFor is the parsed syntax of packages and of all that they need to compile, by file. Compilers copy it.
func (p *Policy) SyntaxFor(packages unit.Set) map[string]*ast.Module {
	return modulesIn(p.graph, p.graph.Closure(p.graph.Entangled(packages)))
}

// WhyWhole is why nothing can be spliced into this policy, so that every edit compiles everything; "" when it can.
func (p *Policy) WhyWhole() string { return p.whyWhole }

// Export is what other packages can see of the rules at one place.
type Export struct {
	Place unit.Key
	Ref   ast.Ref
	Kind  ast.RuleKind
	Arity int
	Type  types.Type // nil where the type checker has none
}

// Signature is what other packages can see of a package, sorted by place.
func (p *Policy) Signature(pkg unit.Key) []Export {
	var all []Export
	for place, e := range p.packages.Get(pkg).signature() {
		all = append(all, Export{Place: place, Ref: e.ref, Kind: e.kind, Arity: e.arity, Type: e.tpe})
	}
	slices.SortFunc(all, func(a, b Export) int { return cmp.Compare(a.Place, b.Place) })
	return all
}

// WithoutSyntax is the policy without the syntax that it keeps for the next edit. That is parsed again when it
// is needed.
func (p *Policy) WithoutSyntax() *Policy {
	lean := *p
	lean.recent = nil
	return &lean
}

// emptyPolicy is what the first edit is made to, so that a first load is compiled in parallel parts like any
// other edit (BenchmarkFirstCompile compares it with one compiler for everything).
func emptyPolicy() *Policy {
	empty := dialect.NewCompiler()
	empty.Compile(nil)
	return &Policy{compiler: dialect.Seal(empty), graph: unit.New(nil), replaced: func() []unit.Key { return nil }, packages: &unit.Table[compiledPackage]{}}
}

// newPolicy makes the policy of a compiler that compiled all modules. whyWhole is why it had to; "" where only the modules
// can tell.
func newPolicy(compiler *ast.Compiler, graph *unit.Graph, whyWhole string) *Policy {
	packages := make(map[unit.Key]*compiledPackage, len(graph.Keys()))
	for _, key := range graph.Keys() {
		packages[key] = packageOf(compiler, graph.Package(key))
	}
	// Both reasons to compile as a whole, for the edits that follow: names in the source, which the graph
	// tells, and what only a compiled package tells. Build never asks about unchanged packages again.
	p := &Policy{graph: graph, replaced: sync.OnceValue(graph.Replaced), packages: (&unit.Table[compiledPackage]{}).With(packages)}
	p.whyWhole = cmp.Or(whyWhole, graph.WhyWhole(unit.SetOf(graph.Keys()...)), firstWhyWhole(p.packages))
	p.compiler = dialect.Seal(compiler)
	if p.whyWhole == "" {
		// What a spliced policy has: CheckPath answers alike after any history of edits.
		p.compiler.TypeEnv = functionTypes(p.packages)
	}
	return p
}

// firstWhyWhole is the second half of invariant 7: what the source does not tell.
func firstWhyWhole(packages *unit.Table[compiledPackage]) string {
	for _, p := range packages.All() {
		if p.whyWhole != "" {
			return p.whyWhole
		}
	}
	return ""
}

// functionTypes makes a type environment that has the functions; everything else under data is any. The
// evaluator asks it only whether the target of a with is a function, and of which arity. The types of rules
// are checked where they are compiled. Queries are type-checked against it too, and find any; so the path of
// a decision is checked by [Policy.CheckPath].
//
// A function is declared as a builtin because the environment's own tree can be filled from package ast only.
func functionTypes(packages *unit.Table[compiledPackage]) *ast.TypeEnv {
	declared := map[string]*ast.Builtin{}
	for _, p := range packages.All() {
		for _, f := range p.functions {
			declared[f.Name] = f
		}
	}
	compiler := dialect.NewCompiler().WithBuiltins(declared) //nolint:staticcheck // capabilities would replace OPA's own builtins
	compiler.QueryCompiler()                                 // makes the environment
	return compiler.TypeEnv
}

// modulesIn is the parsed syntax of the packages, by file.
func modulesIn(graph *unit.Graph, packages unit.Set) map[string]*ast.Module {
	modules := make(map[string]*ast.Module, len(packages))
	for key := range packages {
		for _, m := range graph.Package(key).Modules {
			modules[m.File] = m.Syntax.Module()
		}
	}
	return modules
}
