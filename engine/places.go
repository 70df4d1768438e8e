package engine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.yaml.in/yaml/v3"
)

// modules are the files that parsed.
func (a *advisor) modules() []*parsed {
	return slices.DeleteFunc(slices.Clone(a.all), func(p *parsed) bool { return p.unit == nil })
}

// module is the file of that name, nil when it did not parse or is no module.
func (a *advisor) module(file string) *parsed {
	for _, p := range a.all {
		if p.unit != nil && p.file.Path == file {
			return p
		}
	}
	return nil
}

func (p *parsed) samePackage(other *parsed) bool {
	return other != nil && p.unit.Package == other.unit.Package
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
		if !p.unit.HasRuleAt(place) {
			continue
		}
		for _, rule := range p.module().Rules {
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
		if p.data == nil {
			continue
		}
		if at, ok := p.locate(parts); ok {
			d.Details = append(d.Details, at+": the data's")
		}
	}
	d.Hint = "a path is either a rule's or the data's: rename the rule or the key"
}

func (a *advisor) packageAndRule(d *diagnostic.Diagnostic, m []string) {
	for _, p := range a.modules() {
		if p.unit.Path.String() == "data."+m[1] {
			d.Details = append(d.Details, "the package is at "+a.place(p.module().Package.Location))
		}
	}
	if _, at, ok := strings.Cut(d.Message, " defined at "); ok {
		file, row := at, 0
		if i := strings.LastIndexByte(at, ':'); i > 0 {
			file = at[:i]
			_, _ = fmt.Sscan(at[i+1:], &row)
		}
		if p := a.module(file); p != nil {
			for _, rule := range p.module().Rules {
				if rule.Location.Row == row {
					a.moveTo(d, rule.Location)
					break
				}
			}
		}
	}
	d.Hint = "a rule's value cannot hold a package: rename one of them"
}

// locate is file:line:column of the deepest key on the path that the data file sets; ok when it sets
// all of the path, or a value on the way to it.
func (p *parsed) locate(path []string) (place string, ok bool) {
	line, column, ok := p.locateKey(path)
	switch {
	case !ok:
		return "", false
	case line == 0:
		return p.file.Path, true
	default:
		return fmt.Sprintf("%s:%d:%d", p.file.Path, line, column), true
	}
}

func (p *parsed) locateKey(path []string) (line, column int, ok bool) {
	folders := p.folders()
	if len(folders) >= len(path) {
		return 0, 0, len(folders) > 0 && slices.Equal(folders[:len(path)], path)
	}
	if !slices.Equal(folders, path[:len(folders)]) {
		return 0, 0, false
	}
	var root yaml.Node
	// JSON is YAML but for its tabs, which in JSON only stand between tokens.
	text := p.file.Bytes
	if strings.HasSuffix(p.file.Path, ".json") {
		text = bytes.ReplaceAll(text, []byte("\t"), []byte(" "))
	}
	if err := yaml.Unmarshal(text, &root); err != nil || len(root.Content) == 0 {
		return 0, 0, p.sets(path[len(folders):])
	}
	node := root.Content[0]
	for _, key := range path[len(folders):] {
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		if node.Kind != yaml.MappingNode {
			return line, column, true // a value lies on the way
		}
		next := (*yaml.Node)(nil)
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				line, column, next = node.Content[i].Line, node.Content[i].Column, node.Content[i+1]
			}
		}
		if next == nil {
			return 0, 0, false
		}
		node = next
	}
	return line, column, line > 0
}

func (p *parsed) sets(path []string) bool {
	ref := make(ast.Ref, 0, len(path))
	for _, key := range path {
		ref = append(ref, ast.StringTerm(key))
	}
	_, err := p.data.Find(ref)
	return err == nil
}
