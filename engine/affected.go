package engine

import (
	"slices"
	"strings"

	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Tests is the suite of all tests that a generation of an engine with Config.Tests holds.
func (g *Generation) Tests() *Suite {
	return &Suite{Modules: modulesOf(g.parsed), Store: g.data}
}

// AffectedTests is the suite of the tests whose results can differ from those in since: the tests of every package
// that changed, or that refers, directly or through others, to a package or to data that did. Its modules are
// these packages and what they refer to, so that compiling it takes time for the edit, not for everything. It
// is nil when there is no such test, and has all tests when since is nil.
func (g *Generation) AffectedTests(since *Generation) *Suite {
	if since == nil {
		return g.Tests()
	}
	affected := g.policy.Affected(since.policy, since.data.Root(), editSince(since.parsed, g.parsed).forCompile(g.data))
	suite := &Suite{Store: g.data}
	tested := unit.Set{}
	for _, p := range g.parsed {
		if p.Source.Kind() == source.KindTest && p.Unit != nil && affected[p.Unit.Package] {
			if !tested[p.Unit.Package] {
				suite.Only = append(suite.Only, p.Unit.Path)
			}
			tested[p.Unit.Package] = true
		}
	}
	if len(tested) == 0 {
		return nil
	}
	suite.Modules = g.policy.SyntaxFor(tested)
	return suite
}

// RulesIn returns the package that a module declares, and the names of its rules without arguments in the order
// of the file, without tests. Both are nil if path is no policy module.
func (g *Generation) RulesIn(path string) (pkg Path, rules []string) {
	module := g.Module(path)
	if module == nil {
		return nil, nil
	}
	for _, t := range module.Package.Path[1:] {
		name, ok := t.Value.(ast.String)
		if !ok {
			return nil, nil
		}
		pkg = append(pkg, string(name))
	}
	for _, rule := range module.Rules {
		name := string(rule.Head.Name)
		if ref := rule.Head.Ref(); len(ref) > 0 {
			name = strings.Trim(ref[0].String(), `"`)
		}
		if len(rule.Head.Args) == 0 && !slices.Contains(rules, name) {
			rules = append(rules, name)
		}
	}
	return pkg, rules
}
