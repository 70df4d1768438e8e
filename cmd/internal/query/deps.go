package query

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/explain"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Deps are what a query depends on, and who refers to it.
type Deps struct {
	Base       []string  `json:"base"`    // documents of data and the input that it may read
	Virtual    []string  `json:"virtual"` // documents that rules make
	ReferredBy []RuleRef `json:"referred_by"`
}

// RuleRef is a rule, by its first clause.
type RuleRef struct {
	Rule string `json:"rule"`
	File string `json:"file"`
	Line int    `json:"line"`
}

// DepsOf finds them for a query, or for a path such as app/allow. Rules that refer to it are found for a query that is one
// reference to data or the input. It is an error when nothing exists there.
func DepsOf(g *engine.Generation, text string) (d Deps, err error) {
	d = Deps{Base: []string{}, Virtual: []string{}, ReferredBy: []RuleRef{}}
	if isPath(text) {
		path, err := explain.ParsePath(text)
		if err != nil {
			return d, err
		}
		text = refOf(path).String()
	}
	q, err := Parse(text, "", nil)
	if err != nil {
		return d, err
	}
	found, err := g.DependenciesOf(q.Query)
	if err != nil {
		return d, problems(text, err)
	}
	for _, ref := range found.Base {
		d.Base = append(d.Base, ref.String())
	}
	for _, ref := range found.Virtual {
		d.Virtual = append(d.Virtual, ref.String())
	}
	ref, ok := oneRef(q.Query)
	if !ok {
		return d, nil
	}
	if path, isPath := pathOfRef(ref.ConstantPrefix()); isPath && !g.CouldDefine(path) {
		return d, fmt.Errorf("%w at %s", explain.ErrNoDocument, ref)
	}
	for _, r := range g.Referrers(ref) {
		d.ReferredBy = append(d.ReferredBy, RuleRef(r))
	}
	return d, nil
}

// plain is a path with dots.
var plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// isPath reports whether a text is a path, and not a query: a division has spaces, as people write it.
func isPath(text string) bool {
	if root, _, _ := strings.Cut(text, "."); root != "data" && root != "input" && plain.MatchString(text) {
		return true
	}
	return strings.Contains(text, "/") && !strings.ContainsAny(text, " \t\n\"`()[]{}:=;#")
}

func refOf(path engine.Path) ast.Ref {
	ref := ast.Ref{ast.DefaultRootDocument}
	for _, part := range path {
		ref = append(ref, ast.StringTerm(part))
	}
	return ref
}

// oneRef is the reference that a query is.
func oneRef(body ast.Body) (ast.Ref, bool) {
	if len(body) != 1 || len(body[0].With) > 0 || body[0].Negated {
		return nil, false
	}
	term, ok := body[0].Terms.(*ast.Term)
	if !ok {
		return nil, false
	}
	ref, ok := term.Value.(ast.Ref)
	return ref, ok && (ref.HasPrefix(ast.DefaultRootRef) || ref.HasPrefix(ast.InputRootRef))
}

func pathOfRef(ref ast.Ref) (path engine.Path, ok bool) {
	if !ref.HasPrefix(ast.DefaultRootRef) {
		return nil, false
	}
	for _, term := range ref[1:] {
		part, isText := term.Value.(ast.String)
		if !isText {
			return path, true // what is before it
		}
		path = append(path, string(part))
	}
	return path, true
}

// Write prints them for people. place says what a file is called where they stand.
func (d Deps) Write(w io.Writer, place func(file string) string) error {
	if len(d.Base)+len(d.Virtual)+len(d.ReferredBy) == 0 {
		fmt.Fprintln(w, "it depends on no document, and no rule refers to it")
		return nil
	}
	list := func(title string, names []string) {
		if len(names) == 0 {
			return
		}
		fmt.Fprintln(w, title)
		for _, name := range names {
			terminal.Fprintf(w, "  %s\n", name)
		}
	}
	list("depends on data and input:", d.Base)
	list("depends on rules:", d.Virtual)
	var by []string
	for _, r := range d.ReferredBy {
		by = append(by, fmt.Sprintf("%s   (%s:%d)", r.Rule, place(r.File), r.Line))
	}
	list("rules that refer to it:", by)
	return nil
}
