package review

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Rule is one clause of a rule that differs.
type Rule struct {
	Path   string // up to the first part that is not a constant
	Change string
	Clause int    // from 1, among the clauses of the path: in the candidate, or in the base if it is removed
	Before string // as its author wrote it; empty if it is added
	After  string // the same; empty if it is removed
	File   string // of the candidate, or of the base if it is removed
	Row    int
	From   string // the file in the base, if it moved
}

// Default is a default value that differs. Before and After are JSON; nil where there is none.
type Default struct {
	Path          string
	Before, After json.RawMessage
}

// clause is one rule of a package.
type clause struct {
	rule   *ast.Rule
	file   string
	normal string // see [Normal]
	number int
}

func (c *clause) text() string { return strings.TrimSpace(string(c.rule.Location.Text)) }

// comparePackages fills in what is about packages and their rules, and returns the packages that changed.
func (r *Review) comparePackages(pairs []engine.PackagePair) (changed []ast.Ref) {
	for _, p := range pairs {
		name := p.Path.String()
		rules, defaults := len(r.Rules), len(r.Defaults)
		r.comparePackage(p)
		r.compareEntryPoints(p)
		moved := func(rule Rule) bool { return rule.Change == Moved }
		same := len(r.Defaults) == defaults && !slices.ContainsFunc(r.Rules[rules:], func(rule Rule) bool { return !moved(rule) })
		switch {
		case len(p.Before) == 0 && len(p.After) > 0:
			r.Packages.Added = append(r.Packages.Added, name)
		case len(p.Before) > 0 && len(p.After) == 0:
			r.Packages.Removed = append(r.Packages.Removed, name)
		case same:
			continue
		default:
			r.Packages.Changed = append(r.Packages.Changed, name)
		}
		changed = append(changed, p.Path)
	}
	slices.Sort(r.Packages.Added)
	slices.Sort(r.Packages.Removed)
	slices.Sort(r.Packages.Changed)
	slices.Sort(r.EntryPoints.Added)
	slices.Sort(r.EntryPoints.Removed)
	slices.SortStableFunc(r.Rules, func(a, b Rule) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Clause, b.Clause)) })
	slices.SortStableFunc(r.Defaults, func(a, b Default) int { return cmp.Compare(a.Path, b.Path) })
	return changed
}

func (r *Review) comparePackage(p engine.PackagePair) {
	before, after := clausesOf(p.Before), clausesOf(p.After)
	for _, path := range keysOf(before, after) {
		was, wasDefault := splitDefault(before[path])
		is, isDefault := splitDefault(after[path])
		r.compareDefault(path, wasDefault, isDefault)
		r.compareClauses(path, was, is)
	}
}

// clausesOf lists the rules of a package by path. Their normal texts are made when they are needed.
func clausesOf(modules []*ast.Module) map[string][]*clause {
	all := map[string][]*clause{}
	for _, m := range modules {
		file := m.Package.Location.File
		for _, rule := range m.Rules {
			path := rule.Ref().GroundPrefix().String()
			all[path] = append(all[path], &clause{rule: rule, file: file})
		}
	}
	return all
}

func keysOf(a, b map[string][]*clause) []string {
	var keys []string
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		if a[key] == nil {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func splitDefault(all []*clause) (clauses []*clause, def *clause) {
	for _, c := range all {
		if c.rule.Default {
			def = c
			continue
		}
		clauses = append(clauses, c)
		c.number = len(clauses)
		c.normal = Normal(c.rule)
	}
	return clauses, def
}

func (r *Review) compareDefault(path string, before, after *clause) {
	d := Default{Path: path, Before: valueOf(before), After: valueOf(after)}
	if string(d.Before) != string(d.After) {
		r.Defaults = append(r.Defaults, d)
	}
}

// valueOf is JSON where the value is a constant, and else the text as a JSON string.
func valueOf(c *clause) json.RawMessage {
	if c == nil {
		return nil
	}
	if value, err := ast.JSON(c.rule.Head.Value.Value); err == nil {
		if text, err := json.Marshal(value); err == nil {
			return text
		}
	}
	text, err := json.Marshal(c.rule.Head.Value.String())
	if err != nil {
		return nil
	}
	return text
}

// compareClauses pairs equal clauses first, those of one file before others; what is left is paired in order.
func (r *Review) compareClauses(path string, before, after []*clause) {
	sameFile := func(a, b *clause) bool { return a.file == b.file && a.normal == b.normal }
	before, after, _ = pairOff(before, after, sameFile)
	before, after, moved := pairOff(before, after, func(a, b *clause) bool { return a.normal == b.normal })
	for _, m := range moved {
		r.Rules = append(r.Rules, Rule{
			Path: path, Change: Moved, Clause: m.after.number, Before: m.before.text(), After: m.after.text(),
			File: m.after.file, Row: m.after.rule.Location.Row, From: m.before.file,
		})
	}
	for i := range max(len(before), len(after)) {
		rule := Rule{Path: path, Change: Changed}
		if i < len(before) {
			c := before[i]
			rule.Clause, rule.Before, rule.File, rule.Row = c.number, c.text(), c.file, c.rule.Location.Row
		} else {
			rule.Change = Added
		}
		if i < len(after) {
			c := after[i]
			rule.Clause, rule.After, rule.File, rule.Row = c.number, c.text(), c.file, c.rule.Location.Row
		} else {
			rule.Change = Removed
		}
		r.Rules = append(r.Rules, rule)
	}
}

type clausePair struct{ before, after *clause }

// pairOff takes pairs out of both lists, each clause once, in order.
func pairOff(before, after []*clause, equal func(a, b *clause) bool) (restBefore, restAfter []*clause, pairs []clausePair) {
	rest := slices.Clone(after)
	for _, b := range before {
		i := slices.IndexFunc(rest, func(a *clause) bool { return equal(b, a) })
		if i < 0 {
			restBefore = append(restBefore, b)
			continue
		}
		pairs = append(pairs, clausePair{b, rest[i]})
		rest = slices.Delete(rest, i, i+1)
	}
	return restBefore, rest, pairs
}

func (r *Review) compareEntryPoints(p engine.PackagePair) {
	before, after := entryPoints(p.Before), entryPoints(p.After)
	r.EntryPoints.Added = append(r.EntryPoints.Added, missingFrom(before, after)...)
	r.EntryPoints.Removed = append(r.EntryPoints.Removed, missingFrom(after, before)...)
}

func entryPoints(modules []*ast.Module) []string {
	var all []string
	for _, m := range modules {
		for _, a := range m.Annotations {
			if a.Entrypoint {
				all = append(all, a.GetTargetPath().String())
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// testsIn lists the tests of a suite, sorted.
func testsIn(suite *engine.Suite) []string {
	var all []string
	for _, m := range suite.Modules {
		for _, rule := range m.Rules {
			if name, ok := rule.Head.Ref()[0].Value.(ast.Var); ok && isTest(string(name)) { // of test_x[name] the head has no name
				all = append(all, rule.Ref().GroundPrefix().String())
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "test_") || strings.HasPrefix(name, "todo_test_")
}
