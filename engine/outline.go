package engine

import (
	"cmp"
	"slices"
	"strings"
	"weak"

	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Package is what the modules of one package declare. It holds nothing of its generation.
type Package struct {
	Path  string   // as Rego writes it: data.firewall
	Files []string // of its modules, sorted
	Rules []Rule   // by file and line

	key unit.Key
}

// Rule is all clauses of one name in one file.
type Rule struct {
	Name    string // up to the first part that is no constant, without the package
	File    string
	Line    int // of the first clause
	Kind    RuleKind
	Clauses int  // without the default
	Default bool // one of them is the default
}

// RuleKind says what a rule makes.
type RuleKind string

// The kinds.
const (
	RuleValue    RuleKind = "value"
	RuleSet      RuleKind = "set"
	RuleObject   RuleKind = "object" // its name goes on with a variable
	RuleFunction RuleKind = "function"
)

// Outline lists the packages of the modules that serve, tests not included, sorted by path. It looks at every rule: who asks for
// those of one generation after the other has an [Outliner].
func (g *Generation) Outline() []Package { return new(Outliner).Outline(g) }

// Outliner makes outlines of one generation after the other, and takes from the last one what has not changed since: 10,000
// modules take some ten milliseconds. The zero value is ready. It keeps no generation in memory. Not safe for concurrent use.
type Outliner struct {
	modules map[weak.Pointer[ast.Module]]outlined
}

// outlined is what one module declares.
type outlined struct {
	file  string
	path  string // of the package
	rules []Rule
}

// Outline is [Generation.Outline]. What it returns must not be changed.
func (o *Outliner) Outline(g *Generation) []Package {
	modules := make(map[weak.Pointer[ast.Module]]outlined, len(g.parsed))
	found := map[unit.Key]*Package{}
	for _, p := range g.parsed { // by path
		if p.Source.Kind() != source.KindModule || p.Unit == nil {
			continue
		}
		is := o.module(g.policy.CompiledModule(p.Unit.Package, p.Path()), p, modules)
		of := found[p.Unit.Package]
		if of == nil {
			of = &Package{Path: is.path, key: p.Unit.Package, Rules: slices.Clip(is.rules)}
			found[of.key] = of
		} else {
			of.Rules = append(of.Rules, is.rules...)
		}
		of.Files = append(of.Files, p.Path())
	}
	o.modules = modules
	all := make([]Package, 0, len(found))
	for _, p := range found {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Package) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// module is what a module declares, as it was found before or is found now. m is nil where nothing was compiled of it.
func (o *Outliner) module(m *ast.Module, p *parse.File, now map[weak.Pointer[ast.Module]]outlined) outlined {
	if m == nil {
		return outlined{path: p.Unit.Name}
	}
	key := weak.Make(m)
	is, known := o.modules[key]
	if !known || is.file != p.Path() {
		is = outlined{p.Path(), p.Unit.Name, rulesOf(m, p.Path())}
	}
	now[key] = is
	return is
}

// rulesOf are the rules of a module, by line.
func rulesOf(m *ast.Module, file string) (all []Rule) {
	at := map[string]int{}
	for _, clause := range m.Rules {
		name := nameOf(clause)
		i, known := at[name]
		if !known {
			i = len(all)
			at[name] = i
			all = append(all, Rule{Name: name, File: file, Line: clause.Location.Row, Kind: kindOf(clause)})
		}
		r := &all[i]
		r.Line = min(r.Line, clause.Location.Row)
		if clause.Default {
			r.Default = true
			continue
		}
		r.Clauses++
		r.Kind = kindOf(clause)
	}
	slices.SortStableFunc(all, func(a, b Rule) int { return cmp.Compare(a.Line, b.Line) })
	return all
}

// nameOf is the name of a clause within its package, as Rego writes it.
func nameOf(clause *ast.Rule) string {
	return clause.Head.Ref().ConstantPrefix().String()
}

func kindOf(clause *ast.Rule) RuleKind {
	switch head := clause.Head; {
	case len(head.Args) > 0:
		return RuleFunction
	case head.RuleKind() == ast.MultiValue:
		return RuleSet
	case len(head.Ref().ConstantPrefix()) < len(head.Ref()):
		return RuleObject
	default:
		return RuleValue
	}
}

// References are the packages that one refers to, and that refer to it, directly: paths, sorted. It may name too many and
// never too few: a reference that varies counts as one to all that it could be.
type References struct{ To, By []string }

// References returns those of packages of [Generation.Outline], which may be another generation's, in their order. It looks
// at every reference of the policy once.
func (g *Generation) References(packages []Package) []References {
	graph := g.policy.Graph()
	keys := make([]unit.Key, len(packages))
	for i := range packages {
		keys[i] = packages[i].key
	}
	by := graph.ReferredBy(keys)
	all := make([]References, len(packages))
	for i, key := range keys {
		all[i] = References{To: pathsOf(graph, graph.RefersTo(key)), By: pathsOf(graph, by[key])}
	}
	return all
}

func pathsOf(graph *unit.Graph, keys []unit.Key) []string {
	paths := make([]string, len(keys))
	for i, key := range keys {
		paths[i] = graph.Package(key).Modules[0].Name
	}
	slices.Sort(paths)
	return paths
}
