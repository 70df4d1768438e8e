package advice

import (
	"fmt"
	"slices"
	"strings"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
)

// modules are the files that parsed.
func (a *advisor) modules() []*parse.File {
	return slices.DeleteFunc(slices.Clone(a.all), func(p *parse.File) bool { return p.Unit == nil })
}

// module is the file of that name, nil when it did not parse or is no module.
func (a *advisor) module(file string) *parse.File {
	for _, p := range a.all {
		if p.Unit != nil && p.Source.Path == file {
			return p
		}
	}
	return nil
}

func samePackage(p, other *parse.File) bool {
	return other != nil && p.Unit.Package == other.Unit.Package
}

// rulesAt are the rules of that name, in the order of files and lines.
func (a *advisor) rulesAt(name string) []*ast.Rule {
	ref, err := ast.ParseRef(name)
	if err != nil {
		return nil
	}
	place := unit.PathKey(ref)
	var rules []*ast.Rule
	for _, p := range a.modules() {
		if !p.Unit.HasRuleAt(place) {
			continue
		}
		for _, rule := range p.Module().Rules {
			if rule.Ref().GroundPrefix().String() == name || rule.Ref().String() == name {
				rules = append(rules, rule)
			}
		}
	}
	return rules
}

func (a *advisor) place(l *ast.Location) string {
	return fmt.Sprintf("%s:%d:%d: %s", l.File, l.Row, l.Col, strings.TrimSpace(diagnostic.Line(a.source(l.File), l.Row)))
}

// moveTo makes the rule what the diagnostic points at.
func (a *advisor) moveTo(d *diagnostic.Diagnostic, l *ast.Location) {
	d.File, d.Line, d.Column, d.Text = l.File, l.Row, l.Col, diagnostic.Line(a.source(l.File), l.Row)
}

// manyDefaults points at the second default rule: OPA points at the package.
func (a *advisor) manyDefaults(d *diagnostic.Diagnostic, m []string) {
	defaults := slices.DeleteFunc(a.rulesAt(m[1]), func(r *ast.Rule) bool { return !r.Default })
	if len(defaults) < 2 {
		return
	}
	a.moveTo(d, defaults[1].Location)
	d.Message = "multiple default rules " + m[1] + " found: a rule has one default"
	for i, rule := range defaults {
		if i != 1 {
			d.Details = append(d.Details, "also "+a.place(rule.Location))
		}
	}
	d.Hint = "keep one of them"
}

func (a *advisor) conflictingRules(d *diagnostic.Diagnostic, m []string) {
	kinds := map[string]bool{}
	for _, rule := range a.rulesAt(m[1]) {
		kind := shapeOf(rule)
		if kinds[kind] {
			continue
		}
		kinds[kind] = true
		if rule.Location.File == d.File && rule.Location.Row == d.Line {
			d.Details = append(d.Details, fmt.Sprintf("%s:%d:%d: here it is %s", d.File, d.Line, d.Column, kind))
			continue
		}
		d.Details = append(d.Details, fmt.Sprintf("%s: there it is %s", a.place(rule.Location), kind))
	}
	d.Hint = "rules of one name are of one kind; functions of one name take as many arguments"
}

func shapeOf(rule *ast.Rule) string {
	switch {
	case len(rule.Head.Args) == 1:
		return "a function of 1 argument"
	case len(rule.Head.Args) > 1:
		return fmt.Sprintf("a function of %d arguments", len(rule.Head.Args))
	case rule.Head.RuleKind() == ast.MultiValue:
		return "a set"
	case !rule.Ref().IsGround():
		return "an object with a key for each rule"
	default:
		return "one value"
	}
}

func (a *advisor) wrongArity(d *diagnostic.Diagnostic, m []string) {
	for _, rule := range a.rulesAt(m[1]) {
		d.Details = append(d.Details, "defined at "+a.place(rule.Location))
		return
	}
}

// ruleAndData names the data file that holds something where the rule is.
func (a *advisor) ruleAndData(d *diagnostic.Diagnostic, m []string) {
	parts := strings.Split(m[1], "/")
	for _, p := range a.all {
		if p.Data == nil {
			continue
		}
		if at, ok := p.Locate(parts); ok {
			d.Details = append(d.Details, at+": the data's")
		}
	}
	d.Hint = "a path is either a rule's or the data's: rename the rule or the key"
}

func (a *advisor) packageAndRule(d *diagnostic.Diagnostic, m []string) {
	for _, p := range a.modules() {
		if p.Unit.Path.String() == "data."+m[1] {
			d.Details = append(d.Details, "the package is at "+a.place(p.Module().Package.Location))
		}
	}
	if _, at, ok := strings.Cut(d.Message, " defined at "); ok {
		file, row := at, 0
		if i := strings.LastIndexByte(at, ':'); i > 0 {
			file = at[:i]
			_, _ = fmt.Sscan(at[i+1:], &row)
		}
		if p := a.module(file); p != nil {
			for _, rule := range p.Module().Rules {
				if rule.Location.Row == row {
					a.moveTo(d, rule.Location)
					break
				}
			}
		}
	}
	d.Hint = "a rule's value cannot hold a package: rename one of them"
}
