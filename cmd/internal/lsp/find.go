package lsp

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/schema"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// thing is what the cursor is on.
type thing struct {
	file string
	mention
	of *parsed
}

// find is what a position is on; nil: nothing that is known. Called with mu held.
func (p *pack) find(in positionParams) *thing {
	rel, ok := p.rel(in.TextDocument.URI)
	of := p.parsed[rel]
	doc := p.text(rel)
	if !ok || of == nil || of.names == nil || doc == nil {
		return nil
	}
	m := of.at(doc.offset(in.Position))
	if m == nil || m.end > len(doc.text) || doc.text[m.start:m.end] != of.doc.text[m.start:m.end] {
		return nil // the text has changed since it parsed
	}
	t := &thing{rel, *m, of}
	p.decide(t)
	return t
}

// decide says whether a name that may be a variable, a rule or a builtin is one. Called with mu held.
func (p *pack) decide(t *thing) {
	heads := p.definitions()
	switch {
	case t.builtin:
		if own := t.of.pkg + "." + t.path; len(heads[own]) > 0 {
			t.builtin, t.path = false, own
		}
	case t.declared:
	case t.local > 0 && p.known(t.path):
		t.local = 0
	}
}

// known reports whether there are rules at a path or below it. Called with mu held.
func (p *pack) known(path string) bool {
	heads := p.definitions()
	if len(heads[path]) > 0 {
		return true
	}
	for at := range heads {
		if strings.HasPrefix(at, path+".") && !strings.HasPrefix(at, path+".test_") && len(heads[at]) > 0 && p.isPartOfHead(at, path) {
			return true
		}
	}
	return false
}

// isPartOfHead reports whether path, above a rule at at, is named by the rule's head and not by its package alone.
func (p *pack) isPartOfHead(at, path string) bool {
	for _, d := range p.heads[at] {
		if pkg := p.parsed[d.file].pkg; len(path) > len(pkg) && strings.HasPrefix(path, pkg+".") {
			return true
		}
	}
	return false
}

// same are all mentions of a thing, by file. Called with mu held.
func (p *pack) same(t *thing) map[string][]mention {
	found := map[string][]mention{}
	for file, of := range p.parsed {
		if of.names == nil || t.local > 0 && file != t.file {
			continue
		}
		for _, m := range of.mentions {
			other := thing{file, m, of}
			p.decide(&other)
			if other.path == t.path && other.builtin == t.builtin && other.local == t.local {
				found[file] = append(found[file], m)
			}
		}
	}
	return found
}

func (s *server) definition(_ context.Context, in positionParams) ([]location, error) {
	p, done, err := s.locked()
	if err != nil {
		return nil, err
	}
	defer done()
	t := p.find(in)
	if t == nil {
		return []location{}, nil
	}
	found := []location{}
	if t.local > 0 {
		if all := p.same(t)[t.file]; len(all) > 0 {
			found = append(found, location{p.uri(t.file), t.of.doc.span(all[0].start, all[0].end)})
		}
		return found, nil
	}
	for path := t.path; len(found) == 0 && strings.Count(path, ".") > 1; path = path[:strings.LastIndexByte(path, '.')] {
		for _, d := range p.definitions()[path] {
			found = append(found, location{p.uri(d.file), p.parsed[d.file].doc.span(d.start, d.end)})
		}
	}
	if len(found) == 0 {
		found = append(found, p.placeOfData(t.path)...)
	}
	if len(found) == 0 {
		found = append(found, p.placesOfPackage(t.path)...)
	}
	return found, nil
}

// placeOfData is where the data files have a document. Called with mu held.
func (p *pack) placeOfData(path string) []location {
	if p.valueOf(path) == nil {
		return nil
	}
	file, line, column, _ := schema.PlaceInData(p.generation(), strings.Split(path, ".")[1:])
	doc := p.text(file)
	if file == "" || line == 0 || doc == nil {
		return nil
	}
	return []location{{p.uri(file), doc.tokenAt(line, column)}}
}

// placesOfPackage are the package clauses of a package. Called with mu held.
func (p *pack) placesOfPackage(path string) (found []location) {
	for file, of := range p.parsed {
		if of.names != nil && of.pkg == path {
			at := of.module.Package.Location
			found = append(found, location{p.uri(file), of.doc.tokenAt(at.Row, at.Col)})
		}
	}
	slices.SortFunc(found, func(a, b location) int { return strings.Compare(a.URI, b.URI) })
	return found
}

func (s *server) references(_ context.Context, in positionParams) ([]location, error) {
	p, done, err := s.locked()
	if err != nil {
		return nil, err
	}
	defer done()
	found := []location{}
	t := p.find(in)
	if t == nil {
		return found, nil
	}
	for file, all := range p.same(t) {
		for _, m := range all {
			if !m.defines || in.Context.IncludeDeclaration {
				found = append(found, location{p.uri(file), p.parsed[file].doc.span(m.start, m.end)})
			}
		}
	}
	slices.SortFunc(found, func(a, b location) int {
		if c := strings.Compare(a.URI, b.URI); c != 0 {
			return c
		}
		return a.Range.Start.Line - b.Range.Start.Line
	})
	return found, nil
}

func (s *server) hover(_ context.Context, in positionParams) (*hoverAnswer, error) {
	p, done, err := s.locked()
	if err != nil {
		return nil, err
	}
	defer done()
	t := p.find(in)
	if t == nil {
		return nil, nil //nolint:nilnil // the protocol wants null
	}
	text := p.describe(t)
	if text == "" {
		return nil, nil //nolint:nilnil // so
	}
	return &hoverAnswer{markup{"markdown", text}, t.of.doc.span(t.start, t.end)}, nil
}

// describe says what a thing is, in Markdown. Called with mu held.
func (p *pack) describe(t *thing) string {
	switch {
	case t.builtin:
		return describeBuiltin(ast.BuiltinMap[t.path])
	case t.local > 0:
		return "variable of this rule"
	}
	if heads := p.definitions()[t.path]; len(heads) > 0 {
		return describeRule(t.path, heads)
	}
	if strings.HasPrefix(t.path, "data.") {
		if text := p.describeData(t.path); text != "" {
			return text
		}
	}
	if files := p.placesOfPackage(t.path); len(files) > 0 {
		return fmt.Sprintf("```rego\npackage %s\n```\n%s", strings.TrimPrefix(t.path, "data."), terminal.Count(len(files), "file"))
	}
	if strings.HasPrefix(t.path, "input") {
		return "```rego\n" + t.path + "\n```\nof the caller's input"
	}
	return ""
}

func describeRule(path string, heads []defined) string {
	var b strings.Builder
	rule := heads[0].rule
	name := path
	if rule != nil && len(rule.Head.Args) > 0 {
		var args []string
		for _, arg := range rule.Head.Args {
			args = append(args, arg.String())
		}
		name += "(" + strings.Join(args, ", ") + ")"
	}
	fmt.Fprintf(&b, "```rego\n%s\n```\n", name)
	for _, d := range heads {
		if d.rule == nil {
			continue
		}
		for _, a := range d.rule.Annotations {
			if a.Title != "" {
				b.WriteString("**" + a.Title + "**\n\n")
			}
			if a.Description != "" {
				b.WriteString(a.Description + "\n\n")
			}
		}
		if d.rule.Default {
			fmt.Fprintf(&b, "default `%s`\n\n", d.rule.Head.Value)
		}
	}
	files := []string{}
	for _, d := range heads {
		if !slices.Contains(files, d.file) {
			files = append(files, d.file)
		}
	}
	fmt.Fprintf(&b, "%s in %s", terminal.Count(len(heads), "clause"), strings.Join(files, ", "))
	return b.String()
}

func describeBuiltin(f *ast.Builtin) string {
	if f == nil {
		return ""
	}
	var args []string
	for _, arg := range f.Decl.NamedFuncArgs().Args {
		args = append(args, arg.String())
	}
	text := fmt.Sprintf("```rego\n%s(%s) → %s\n```\n%s", f.Name, strings.Join(args, ", "), f.Decl.NamedResult(), f.Description)
	if f.IsDeprecated() {
		text += "\n\ndeprecated"
	}
	if engine.RefusesBuiltin(f.Name) {
		text += "\n\nNo policy here may call it: it reaches out of the process."
	}
	return text
}

// describeData shows the value of a document of the data files. Called with mu held.
func (p *pack) describeData(path string) string {
	at := p.valueOf(path)
	if at == nil {
		return ""
	}
	const most = 600 // characters: a hover is no document
	v, err := ast.JSON(at)
	if err != nil {
		return ""
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return ""
	}
	if len(text) > most {
		text = append(text[:most:most], "\n…"...)
	}
	return fmt.Sprintf("`%s`\n```json\n%s\n```", path, strings.ToValidUTF8(string(text), ""))
}

// valueOf is the value of a document of the data files; nil: they have none there.
func (p *pack) valueOf(path string) ast.Value {
	g := p.generation()
	parts := strings.Split(path, ".")
	if g == nil || parts[0] != "data" {
		return nil
	}
	ref := make(ast.Ref, 0, len(parts)-1)
	for _, part := range parts[1:] {
		ref = append(ref, ast.StringTerm(part))
	}
	value, err := g.Data().Find(ref)
	if err != nil {
		return nil // there is no such part
	}
	return value
}

func (s *server) symbols(_ context.Context, in documentParams) ([]documentSymbol, error) {
	p, done, err := s.locked()
	if err != nil {
		return nil, err
	}
	defer done()
	rel, _ := p.rel(in.TextDocument.URI)
	of := p.parsed[rel]
	found := []documentSymbol{}
	if of == nil || of.names == nil {
		return found, nil
	}
	seen := map[string]bool{}
	for _, m := range of.mentions {
		if !m.defines || seen[m.path] {
			continue
		}
		seen[m.path] = true
		kind := symbolVariable
		if rule := of.ruleAt(m.start); rule != nil && len(rule.Head.Args) > 0 {
			kind = symbolFunction
		}
		at := of.doc.span(m.start, m.end)
		found = append(found, documentSymbol{strings.TrimPrefix(m.path, of.pkg+"."), kind, at, at})
	}
	return found, nil
}
