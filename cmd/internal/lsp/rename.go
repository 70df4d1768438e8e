package lsp

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

var aName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// renamable is what can be renamed: variables of a rule, and rules.
func (p *pack) renamable(in positionParams) (*thing, error) {
	t := p.find(in)
	switch {
	case t == nil:
		return nil, errors.New("nothing that has a name is here, or the file does not parse")
	case t.builtin:
		return nil, fmt.Errorf("%s is a builtin", t.path)
	case t.local == 0 && len(p.definitions()[t.path]) == 0:
		return nil, fmt.Errorf("%s is no rule of this pack: data and input are named by others", t.path)
	}
	return t, nil
}

func (s *server) prepareRename(_ context.Context, in positionParams) (*textRange, error) {
	p, done, err := s.locked()
	if err != nil {
		return nil, err
	}
	defer done()
	t, err := p.renamable(in)
	if err != nil {
		return nil, err
	}
	at := t.of.doc.span(t.start, t.end)
	return &at, nil
}

// rename changes every mention of a rule or variable. It is refused if the policy would not load afterwards, or if the new
// name means something already.
func (s *server) rename(ctx context.Context, in positionParams) (*workspaceEdit, error) {
	p, err := s.current()
	if err != nil {
		return nil, err
	}
	if !aName.MatchString(in.NewName) || ast.IsKeyword(in.NewName) {
		return nil, fmt.Errorf("%q is no name of Rego: expected letters, digits and _, and no keyword", in.NewName)
	}
	edit, texts, err := p.renamed(in)
	if err != nil {
		return nil, err
	}
	if _, err := p.check(ctx); err == nil && p.sound() {
		if err := p.compiles(ctx, texts); err != nil {
			return nil, err
		}
	}
	return edit, nil
}

// sound reports whether the pack loads as it is.
func (p *pack) sound() bool { return p.engine.Status().State == engine.StateCurrent }

// renamed makes the edits of a rename, and the texts after it.
func (p *pack) renamed(in positionParams) (*workspaceEdit, map[string]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, err := p.renamable(in)
	if err != nil {
		return nil, nil, err
	}
	base := t.path[:strings.LastIndexByte(t.path, '.')+1]
	if t.local == 0 && p.known(base+in.NewName) {
		return nil, nil, fmt.Errorf("%s%s exists already", base, in.NewName)
	}
	edit, texts := &workspaceEdit{map[string][]textEdit{}}, map[string]string{}
	for file, all := range p.same(t) {
		doc := p.text(file)
		of := p.parsed[file]
		if doc == nil || doc.text != of.doc.text {
			return nil, nil, fmt.Errorf("%s does not parse: repair it first", file)
		}
		text, last := "", 0
		for _, m := range all {
			if !strings.HasSuffix(t.path, "."+doc.text[m.start:m.end]) {
				continue // the alias of an import, which keeps its name
			}
			if t.local > 0 && p.clash(of, t.local, in.NewName) {
				return nil, nil, fmt.Errorf("the rule has a variable %s already", in.NewName)
			}
			edit.Changes[p.uri(file)] = append(edit.Changes[p.uri(file)], textEdit{doc.span(m.start, m.end), in.NewName})
			text += doc.text[last:m.start] + in.NewName
			last = m.end
		}
		texts[file] = text + doc.text[last:]
	}
	return edit, texts, nil
}

// clash reports whether a rule mentions a name that a variable is to get.
func (p *pack) clash(of *parsed, rule int, name string) bool {
	return slices.ContainsFunc(of.mentions, func(m mention) bool {
		return m.local == rule && strings.HasSuffix(m.path, "."+name)
	})
}
