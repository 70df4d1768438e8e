package compile

import (
	"slices"
	"sync"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
)

// recompiled is the packages that were compiled again, each by a small compiler. A package that is in it is final:
// order and nextWave rely on that.
type recompiled struct {
	graph    *unit.Graph
	packages map[unit.Key]*compiledPackage // nil for one that is gone
	trees    map[unit.Key]*ast.TreeNode    // the rule tree of the compiler that compiled the package
}

// splice returns the policy in which s.packages replace those of p. It shares everything else with p, which
// stays as it was: decisions by p go on meanwhile (invariant 1).
func (p *Policy) splice(s *recompiled) *Policy {
	next := &Policy{graph: s.graph, replaced: sync.OnceValue(s.graph.Replaced), packages: p.packages.With(s.packages)}
	indexesChanged, functionsChanged := false, false
	// Only the spliced packages are asked. Those of p were when they were spliced, or by newPolicy.
	for key, after := range s.packages {
		before := p.packages.Get(key)
		if after != nil && after.whyWhole != "" {
			next.whyWhole = after.whyWhole
		}
		indexesChanged = indexesChanged || before.hasIndexes() || after.hasIndexes()
		functionsChanged = functionsChanged || !sameFunctions(before, after)
	}
	// Evaluation reads builtins, capabilities, types, indices and the rule tree of a compiler, so a copy may
	// share them. It does not read Modules, so the copy drops them, and with them all modules that no tree
	// refers to. In OPA, no file of topdown reads them; package rego does for its own compiling, for WebAssembly,
	// plans and partial results, none of which is used here. The tests have it as proof too: conformance cases
	// and random edits are evaluated by spliced policies, and must answer as policies from one compiler do.
	compiler := *p.compiler
	compiler.RuleTree, compiler.Modules = p.spliceTree(s), nil
	// Indices are found by the address of a term, so those of unchanged packages hold on; but they are one
	// map for the whole compiler, so a change of some makes all anew. Most edits change none.
	if indexesChanged {
		compiler = *withComprehensionIndexes(compiler.RuleTree, next.packages)
		compiler.TypeEnv = p.compiler.TypeEnv
	}
	if functionsChanged && next.whyWhole == "" {
		compiler.TypeEnv = functionTypes(next.packages)
	}
	next.compiler = &compiler
	return next
}

// spliceTree removes all old rules before it adds new ones, since a place may pass from one package to
// another, and prunes last, since an added rule may need a node that a removed one leaves empty.
func (p *Policy) spliceTree(s *recompiled) *ast.TreeNode {
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

// withComprehensionIndexes makes a compiler with the rule tree and with the comprehension indices of the
// packages. Those are in an unexported field, so the compiler has to make them: all stages are skipped but
// the one that does, and it sees compiled rules. It is worth the trouble: without an index the evaluator
// computes a comprehension anew for each value of the variable that it depends on, and grouping 500 members
// of an input takes 33 ms, with one 2.3 (BenchmarkEvaluateIndexed in package eval).
func withComprehensionIndexes(tree *ast.TreeNode, packages *unit.Table[compiledPackage]) *ast.Compiler {
	var indexed []*ast.Rule
	for _, p := range packages.All() {
		indexed = append(indexed, p.indexed...)
	}
	const first = ast.StageCheckUnusedImports // does nothing unless the compiler is strict
	skipped := slices.DeleteFunc(ast.AllStages(), func(id ast.StageID) bool {
		return id == first || id == ast.StageBuildComprehensionIndices
	})
	compiler := dialect.NewCompiler().WithSkipStages(skipped...)
	compiler.WithStageAfterID(first, ast.CompilerStageDefinition{
		Name: "UseCompiledRules", MetricName: "use_compiled_rules", Stage: func(c *ast.Compiler) *ast.Error {
			c.RuleTree = tree
			c.Modules[""].Rules = indexed
			tree, indexed = nil, nil // the compiler keeps its stages, which would keep this generation alive
			return nil
		},
	})
	compiler.Compile(map[string]*ast.Module{"": {Package: &ast.Package{Path: ast.Ref{ast.DefaultRootDocument}}}})
	compiler.Modules = nil
	return dialect.Seal(compiler)
}
