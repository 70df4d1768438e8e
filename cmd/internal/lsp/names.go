package lsp

import (
	"slices"
	"sort"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// mention is a place in a file that names something.
type mention struct {
	start, end int    // bytes of the text
	path       string // as data.p.allow, input.user or, for a builtin, count
	local      int    // the rule, from 1, in which it may be a local variable; 0: it cannot be one
	declared   bool   // it is one
	builtin    bool   // it is one, unless the package has a rule of its name
	defines    bool   // the head of a rule, of its name
}

// names are the mentions of a file.
type names struct {
	module   *ast.Module
	pkg      string    // data.p
	mentions []mention // by start
	aliases  map[string]string
}

// collector makes names.
type collector struct {
	*names
	text     string
	rule     int
	declared map[string]bool // in the rule
}

func namesOf(module *ast.Module, text string) *names {
	n := &names{module: module, pkg: module.Package.Path.String(), aliases: map[string]string{}}
	c := &collector{names: n, text: text}
	c.path("", module.Package.Path)
	for _, imp := range module.Imports {
		ref, ok := imp.Path.Value.(ast.Ref)
		if !ok || len(ref) == 0 || ref.HasPrefix(ast.MustParseRef("rego.v1")[:1]) {
			continue
		}
		c.path("", ref)
		if name := imp.Name(); name != "" {
			n.aliases[string(name)] = ref.String()
		}
	}
	for i, rule := range module.Rules {
		c.rule, c.declared = i+1, declaredIn(rule)
		c.head(rule)
		for r := rule; r != nil; r = r.Else {
			c.visit(r.Head.Args)
			for _, term := range []*ast.Term{r.Head.Key, r.Head.Value} {
				if term != nil {
					c.visit(term)
				}
			}
			c.visit(r.Body)
		}
	}
	sort.SliceStable(n.mentions, func(i, j int) bool { return n.mentions[i].start < n.mentions[j].start })
	n.mentions = slices.CompactFunc(n.mentions, func(a, b mention) bool { return a.start == b.start && a.end == b.end })
	return n
}

// declaredIn are the variables that a rule declares: arguments, and what :=, some and every introduce.
func declaredIn(rule *ast.Rule) map[string]bool {
	found := map[string]bool{}
	vars := func(x any) {
		ast.WalkVars(x, func(v ast.Var) bool {
			found[string(v)] = true
			return false
		})
	}
	for r := rule; r != nil; r = r.Else {
		for _, arg := range r.Head.Args {
			vars(arg)
		}
	}
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		switch terms := e.Terms.(type) {
		case *ast.SomeDecl:
			for _, symbol := range terms.Symbols {
				if call, ok := symbol.Value.(ast.Call); ok { // some k, v in xs
					for _, operand := range call[1 : len(call)-1] {
						vars(operand)
					}
					continue
				}
				vars(symbol)
			}
		case *ast.Every:
			if terms.Key != nil {
				vars(terms.Key)
			}
			vars(terms.Value)
		case []*ast.Term:
			if e.IsAssignment() && len(terms) > 1 {
				vars(terms[1])
			}
		}
		return false
	})
	return found
}

// head notes the name of a rule where it is defined.
func (c *collector) head(rule *ast.Rule) {
	ref := rule.Head.Ref()
	if len(ref) == 0 {
		return
	}
	path, last := c.pkg, -1
	for _, term := range ref {
		name, ok := nameOf(term)
		if !ok {
			break
		}
		path += "." + name
		if c.note(term, name, mention{path: path}) {
			last = len(c.mentions) - 1
		}
	}
	if last >= 0 {
		c.mentions[last].defines = true
	}
	for _, term := range ref[1:] {
		if _, ok := nameOf(term); !ok {
			c.visit(term)
		}
	}
}

// nameOf is the constant part of a reference.
func nameOf(term *ast.Term) (string, bool) {
	switch v := term.Value.(type) {
	case ast.Var:
		return string(v), true
	case ast.String:
		return string(v), true
	}
	return "", false
}

// note adds a mention, if the text has the name at the place of the term: what the parser made up has no place.
func (c *collector) note(term *ast.Term, name string, m mention) bool {
	if term.Location == nil || term.Location.Offset < 0 || term.Location.Offset > len(c.text) || name == "" {
		return false
	}
	at := term.Location.Offset
	if rest := c.text[at:]; strings.HasPrefix(rest, `"`+name+`"`) {
		at++
	} else if !strings.HasPrefix(rest, name) || len(rest) > len(name) && isWord(rest[len(name)]) {
		return false
	}
	m.start, m.end = at, at+len(name)
	c.mentions = append(c.mentions, m)
	return true
}

// path notes the constant parts of a reference, each with its path. base is the path of what its first part is below.
func (c *collector) path(base string, ref ast.Ref) {
	path := base
	for i, term := range ref {
		if i > 0 {
			if s, ok := term.Value.(ast.String); !ok || s == "" {
				return
			}
		}
		name, ok := nameOf(term)
		if !ok {
			return
		}
		if path != "" {
			path += "."
		}
		path += name
		c.note(term, name, mention{path: path})
	}
}

// visit notes what x mentions.
func (c *collector) visit(x any) {
	ast.NewGenericVisitor(func(x any) bool {
		term, ok := x.(*ast.Term)
		if !ok || term == nil {
			return false
		}
		switch v := term.Value.(type) {
		case ast.Ref:
			c.ref(v)
			return true
		case ast.Var:
			c.variable(term, string(v))
		}
		return false
	}).Walk(x)
}

func (c *collector) variable(term *ast.Term, name string) {
	if v := ast.Var(name); v.IsWildcard() || v.IsGenerated() {
		return
	}
	switch alias, imported := c.aliases[name]; {
	case name == "data", name == "input":
		c.note(term, name, mention{path: name})
	case c.declared[name]:
		c.note(term, name, mention{path: c.pkg + "." + name, local: c.rule, declared: true})
	case imported:
		c.note(term, name, mention{path: alias})
	default:
		c.note(term, name, mention{path: c.pkg + "." + name, local: c.rule})
	}
}

// ref notes the constant beginning of a reference, and what its other parts mention.
func (c *collector) ref(ref ast.Ref) {
	if len(ref) == 0 {
		return
	}
	rest := ref[1:]
	if head, ok := ref[0].Value.(ast.Var); ok {
		name := string(head)
		if full := ref.String(); ast.BuiltinMap[full] != nil && !c.declared[name] && c.aliases[name] == "" && name != "data" && name != "input" {
			c.note(ref[0], full, mention{path: full, builtin: true})
			return
		}
		c.variable(ref[0], name)
		path := c.pkg + "." + name
		if alias := c.aliases[name]; alias != "" && !c.declared[name] {
			path = alias
		} else if name == "data" || name == "input" {
			path = name
		}
		if !c.declared[name] {
			for len(rest) > 0 {
				s, ok := rest[0].Value.(ast.String)
				if !ok {
					break
				}
				path += "." + string(s)
				c.note(rest[0], string(s), mention{path: path})
				rest = rest[1:]
			}
		}
	} else {
		c.visit(ref[0])
	}
	for _, term := range rest {
		c.visit(term)
	}
}

// at is what the byte at an offset, or the one before it, is part of; nil: nothing.
func (n *names) at(offset int) *mention {
	var best *mention
	for i := range n.mentions {
		if m := &n.mentions[i]; m.start <= offset && offset <= m.end && (best == nil || offset < m.end) {
			best = m
		}
	}
	return best
}
