package engine

import (
	"cmp"
	"slices"

	"defenseclaw/engine/internal/contain"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"
)

// Dependencies are the documents that an evaluation may read, as constant references, sorted.
type Dependencies struct {
	Base    []ast.Ref // of data and the input
	Virtual []ast.Ref // that rules make
}

// DependenciesOf finds what a query depends on, directly or through rules. A reference that varies is cut where it does.
func (g *Generation) DependenciesOf(query ast.Body) (found Dependencies, err error) {
	defer contain.Panic("find the dependencies", &err)
	if err := checkQuery(query); err != nil {
		return found, err
	}
	if found.Base, err = dependencies.Base(g.policy.Compiler(), query); err != nil {
		return found, err
	}
	if found.Virtual, err = dependencies.Virtual(g.policy.Compiler(), query); err != nil {
		return found, err
	}
	slices.SortFunc(found.Base, ast.RefCompare)
	slices.SortFunc(found.Virtual, ast.RefCompare)
	return found, nil
}

// Referrer is a rule that refers to a document, by the first clause that does.
type Referrer struct {
	Rule string // with its package, as Rego writes it
	File string
	Line int
}

// Referrers are the rules that refer directly to the document at ref, to a part of it or to what it is a part of, by file and
// line. It looks at every rule. It may name too many and never too few: a reference that varies counts as one to all that
// it could be.
func (g *Generation) Referrers(ref ast.Ref) (found []Referrer) {
	target := ref.ConstantPrefix()
	for _, f := range g.Files() {
		m := g.Module(f.Path)
		if m == nil {
			continue
		}
		known := map[string]bool{}
		for _, rule := range m.Rules {
			name := rule.Ref().ConstantPrefix()
			if key := name.String(); !known[key] && !name.HasPrefix(target) && refersTo(rule, target) {
				known[key] = true
				found = append(found, Referrer{Rule: key, File: f.Path, Line: rule.Location.Row})
			}
		}
	}
	slices.SortFunc(found, func(a, b Referrer) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return found
}

// refersTo reports whether a rule, or one of its else-clauses, refers to target.
func refersTo(rule *ast.Rule, target ast.Ref) (found bool) {
	look := func(ref ast.Ref) bool {
		if len(ref) > 0 && ref[0].Equal(target[0]) {
			at := ref.ConstantPrefix()
			found = found || at.HasPrefix(target) || target.HasPrefix(at)
		}
		return found
	}
	for ; rule != nil && !found; rule = rule.Else {
		for _, arg := range rule.Head.Args {
			ast.WalkRefs(arg, look)
		}
		for i, node := range append([]*ast.Term{rule.Head.Key, rule.Head.Value}, rule.Head.Reference...) {
			if node != nil && i != 2 { // that is the name
				ast.WalkRefs(node, look)
			}
		}
		ast.WalkRefs(rule.Body, look)
	}
	return found
}
