package lsp

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// aPartialRef is what is typed of a reference before the cursor.
var aPartialRef = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]*)*$`)

// completion offers what may come at a position. The text need not parse: what surrounds it is known from its last text that did.
func (s *server) completion(_ context.Context, in positionParams) ([]completionItem, error) {
	p, done, err := s.locked()
	if err != nil {
		return nil, err
	}
	defer done()
	rel, ok := p.rel(in.TextDocument.URI)
	doc := p.text(rel)
	if !ok || doc == nil {
		return []completionItem{}, nil
	}
	before := doc.text[doc.starts[min(max(in.Position.Line, 0), len(doc.starts)-1)]:doc.offset(in.Position)]
	if inCommentOrText(before) {
		return []completionItem{}, nil
	}
	typed := aPartialRef.FindString(before)
	if dot := strings.LastIndexByte(typed, '.'); dot >= 0 {
		return p.members(p.parsed[rel], typed[:dot]), nil
	}
	return p.words(p.parsed[rel], doc, in.Position), nil
}

// inCommentOrText reports whether a line ends within a comment or a string.
func inCommentOrText(line string) bool {
	in := byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case in == '"' && c == '\\':
			i++
		case in != 0 && c == in:
			in = 0
		case in != 0:
		case c == '"' || c == '`':
			in = c
		case c == '#':
			return true
		}
	}
	return in != 0
}

// members are what can follow a path and a dot. Called with mu held.
func (p *pack) members(of *parsed, base string) []completionItem {
	head, rest, _ := strings.Cut(base, ".")
	path := base
	if of != nil && of.names != nil && head != "data" && head != "input" {
		path = of.pkg + "." + base
		if alias := of.aliases[head]; alias != "" {
			path = strings.TrimSuffix(alias+"."+rest, ".")
		}
	}
	found := map[string]completionItem{}
	p.addBelow(found, path)
	if strings.HasPrefix(path, "data") {
		p.addData(found, path)
	}
	for name, f := range ast.BuiltinMap {
		if after, ok := strings.CutPrefix(name, base+"."); ok && usable(f) {
			found[after] = builtinItem(after, f)
		}
	}
	return sorted(found)
}

// addBelow adds the next parts of all paths that files mention or define below a path. Test rules are no names to use.
func (p *pack) addBelow(found map[string]completionItem, path string) {
	for at, heads := range p.definitions() {
		if next, more, ok := nextPart(at, path); ok && !strings.HasPrefix(next, "test_") {
			if more {
				found[next] = completionItem{Label: next, Kind: itemModule}
				continue
			}
			found[next] = ruleItem(next, at, heads)
		}
	}
	for _, of := range p.parsed {
		if of.names == nil {
			continue
		}
		if next, _, ok := nextPart(of.pkg, path); ok && found[next].Label == "" {
			found[next] = completionItem{Label: next, Kind: itemModule}
		}
		if !strings.HasPrefix(path, "input") {
			continue
		}
		for _, m := range of.mentions { // what other rules ask of the input
			if next, _, ok := nextPart(m.path, path); ok && found[next].Label == "" {
				found[next] = completionItem{Label: next, Kind: itemField, Detail: "of the input, as rules read it"}
			}
		}
	}
}

// nextPart is the part of a path that follows a shorter one, and whether more follow it.
func nextPart(path, shorter string) (next string, more, ok bool) {
	rest, ok := strings.CutPrefix(path, shorter+".")
	if !ok {
		return "", false, false
	}
	next, _, more = strings.Cut(rest, ".")
	return next, more, next != ""
}

// addData adds the keys of a document of the data files.
func (p *pack) addData(found map[string]completionItem, path string) {
	object, ok := p.valueOf(path).(ast.Object)
	if !ok {
		return
	}
	object.Foreach(func(k, v *ast.Term) {
		if name, ok := k.Value.(ast.String); ok && aName.MatchString(string(name)) && found[string(name)].Label == "" {
			found[string(name)] = completionItem{Label: string(name), Kind: itemValue, Detail: ast.ValueName(v.Value) + " of the data"}
		}
	})
}

func ruleItem(label, path string, heads []defined) completionItem {
	item := completionItem{Label: label, Kind: itemVariable, Detail: path, Documentation: &markup{"markdown", describeRule(path, heads)}}
	if r := heads[0].rule; r != nil && len(r.Head.Args) > 0 {
		item.Kind = itemFunction
	}
	return item
}

// usable reports whether a policy may call a builtin, and should.
func usable(f *ast.Builtin) bool { return !f.IsDeprecated() && !engine.RefusesBuiltin(f.Name) }

func builtinItem(label string, f *ast.Builtin) completionItem {
	return completionItem{Label: label, Kind: itemFunction, Detail: "builtin", Documentation: &markup{"markdown", describeBuiltin(f)}, SortText: "z" + label}
}

// words are what can begin a reference. Called with mu held.
func (p *pack) words(of *parsed, doc *document, at position) []completionItem {
	found := map[string]completionItem{}
	for name, f := range ast.BuiltinMap {
		if first, _, more := strings.Cut(name, "."); more {
			if first != "internal" && usable(f) {
				found[first] = completionItem{Label: first, Kind: itemModule, Detail: "builtins", SortText: "z" + first}
			}
		} else if f.Infix == "" && usable(f) && aName.MatchString(name) {
			found[name] = builtinItem(name, f)
		}
	}
	for _, word := range ast.Keywords {
		if aName.MatchString(word) {
			found[word] = completionItem{Label: word, Kind: itemKeyword, SortText: "y" + word}
		}
	}
	for _, root := range []string{"data", "input"} {
		found[root] = completionItem{Label: root, Kind: itemModule}
	}
	if of == nil || of.names == nil {
		return sorted(found)
	}
	for alias, path := range of.aliases {
		found[alias] = completionItem{Label: alias, Kind: itemModule, Detail: path}
	}
	p.addBelow(found, of.pkg)
	for name := range variablesNear(of, doc, at) {
		found[name] = completionItem{Label: name, Kind: itemVariable, Detail: "variable of this rule", SortText: "0" + name}
	}
	return sorted(found)
}

// variablesNear are the variables of the rule around a line. The rule is found by lines, since bytes are others while one types.
func variablesNear(of *parsed, _ *document, at position) map[string]bool {
	found := map[string]bool{}
	rule := 0
	for i, r := range of.module.Rules {
		if r.Loc().Row-1 <= at.Line {
			rule = i + 1
		}
	}
	for _, m := range of.mentions {
		if m.local == rule && m.declared {
			found[m.path[strings.LastIndexByte(m.path, '.')+1:]] = true
		}
	}
	return found
}

func sorted(found map[string]completionItem) []completionItem {
	all := slices.Collect(maps.Values(found))
	slices.SortFunc(all, func(a, b completionItem) int { return strings.Compare(a.SortText+a.Label, b.SortText+b.Label) })
	return all
}
