package engine

import (
	"slices"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// spliced is packages that were compiled anew, each by a small compiler that held all it refers to.
type spliced struct {
	graph    *unit.Graph
	packages map[unit.Key]*compiledPackage // nil for one that is gone
	trees    map[unit.Key]*ast.TreeNode    // the rule tree of the small compiler that compiled it
}

// splice returns the policy that holds s.packages in place of p's. What is not in s is shared with
// p, which stays as it was.
func (p *policy) splice(s *spliced) *policy {
	next := &policy{graph: s.graph, packages: p.packages.With(s.packages)}
	indexMoved, functionsMoved := false, false
	for key, after := range s.packages {
		before := p.packages.Get(key)
		if after != nil && after.whole != "" {
			next.whole = after.whole
		}
		indexMoved = indexMoved || before.hasIndexes() || after.hasIndexes()
		functionsMoved = functionsMoved || !sameFunctions(before, after)
	}
	// A copy of the compiler shares what evaluation only reads: builtins, capabilities, indices. It
	// reads no modules: a rule is found by the tree.
	compiler := *p.compiler
	compiler.RuleTree, compiler.Modules = p.spliceTree(s), nil
	if indexMoved {
		compiler = *newCarrier(compiler.RuleTree, next.packages)
		compiler.TypeEnv = p.compiler.TypeEnv
	}
	if functionsMoved && next.whole == "" {
		compiler.TypeEnv = functionTypes(next.packages)
	}
	next.compiler = &compiler
	return next
}

func (c *compiledPackage) hasIndexes() bool { return c != nil && len(c.indexed) > 0 }

func (p *policy) spliceTree(s *spliced) *ast.TreeNode {
	tree := newTreeEditor(p.compiler.RuleTree)
	for key := range s.packages {
		tree.remove(p.packages.Get(key))
	}
	for key, after := range s.packages {
		if after != nil {
			tree.add(s.graph.Package(key), after, s.trees[key])
		}
	}
	for key := range s.packages {
		tree.prune(s.graph, p.packages.Get(key))
	}
	return tree.root
}

func sameFunctions(before, after *compiledPackage) bool {
	byName := map[string]*types.Function{}
	for _, f := range before.functions() {
		byName[f.Name] = f.Decl
	}
	same := len(byName) == len(after.functions())
	for _, f := range after.functions() {
		same = same && byName[f.Name] != nil && types.Compare(byName[f.Name], f.Decl) == 0
	}
	return same
}

func (c *compiledPackage) functions() []*ast.Builtin {
	if c == nil {
		return nil
	}
	return c.declare
}

// functionTypes makes a type environment that knows the functions and takes everything else under
// data for any. That is all that evaluation asks of it: whether the target of a with is a function,
// and of what arity. Types of rules are checked where they are compiled.
func functionTypes(packages *unit.Table[compiledPackage]) *ast.TypeEnv {
	declared := map[string]*ast.Builtin{}
	for _, p := range packages.All() {
		for _, f := range p.declare {
			declared[f.Name] = f
		}
	}
	compiler := dialect.NewCompiler().WithBuiltins(declared) //nolint:staticcheck // capabilities would take the place of OPA's own builtins
	compiler.QueryCompiler()                                 // makes the environment
	return compiler.TypeEnv
}

// newCarrier makes a compiler whose indices of comprehensions, an unexported part, are those of the
// packages, and whose rule tree is tree. It compiles nothing: of all stages only the one that makes the
// indices runs, on compiled rules.
func newCarrier(tree *ast.TreeNode, packages *unit.Table[compiledPackage]) *ast.Compiler {
	var indexed []*ast.Rule
	for _, p := range packages.All() {
		indexed = append(indexed, p.indexed...)
	}
	const first = ast.StageCheckUnusedImports // does nothing unless strict
	skipped := slices.DeleteFunc(ast.AllStages(), func(id ast.StageID) bool {
		return id == first || id == ast.StageBuildComprehensionIndices
	})
	carrier := dialect.NewCompiler().WithSkipStages(skipped...)
	carrier.WithStageAfterID(first, ast.CompilerStageDefinition{
		Name: "UseCompiledRules", MetricName: "use_compiled_rules", Stage: func(carrier *ast.Compiler) *ast.Error {
			carrier.RuleTree = tree
			carrier.Modules[""].Rules = indexed
			tree, indexed = nil, nil // the compiler keeps its stages, and must not keep an old generation by them
			return nil
		},
	})
	carrier.Compile(map[string]*ast.Module{"": {Package: &ast.Package{Path: ast.Ref{ast.DefaultRootDocument}}}})
	carrier.Modules = nil
	return dialect.Seal(carrier)
}
