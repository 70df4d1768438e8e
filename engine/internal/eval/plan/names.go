package plan

import (
	"strings"

	"defenseclaw/engine/internal/eval/plan/value"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/util"
)

// A look-up in the value of a rule, s[1], is more than that for OPA's evaluator: it evaluates the rule with its key known
// to be 1. Where the body then looks data.n[1] up, the store finds the member that is named "1". A program makes s as a
// whole, has "1" in it, and does not find 1, or finds only what another member gave it. So a look-up of such a key is left to
// OPA.

// named are the places of rules whose keys are looked up in the data.
type named struct {
	rules []string  // the paths of their functions, as in [function].path but for the first part
	lists []ast.Ref // the data they look into; a part that is no constant stands for all members

	places map[string]bool // where there are rules, or below which there are
}

// namedRules finds them. A key is looked up in the data where its variable, or one that is equal to it, is in a reference.
func namedRules(modules map[string]*ast.Module) *named {
	n := &named{places: map[string]bool{}}
	for _, module := range modules {
		for _, rule := range module.Rules {
			var parts []string
			for _, part := range rule.Ref().GroundPrefix()[1:] {
				text, _ := part.Value.(ast.String) // plannable has seen to it that it is one
				parts = append(parts, string(text))
				n.places[strings.Join(parts, "\x00")] = true
			}
			if len(rule.Head.Args) > 0 {
				continue
			}
			if refs := lookedUp(rule); len(refs) > 0 {
				n.rules, n.lists = append(n.rules, strings.Join(parts, "\x00")), append(n.lists, refs...)
			}
		}
	}
	return n
}

// lookedUp are the references into data, each up to the part that a key of the rule gives.
func lookedUp(rule *ast.Rule) (refs []ast.Ref) {
	keys := ast.NewVarSet()
	if rule.Head.Key != nil {
		keys.Update(varsOutsideRefs(rule.Head.Key))
	}
	for _, part := range rule.Ref()[1:] {
		keys.Update(varsOutsideRefs(part))
	}
	if len(keys) == 0 {
		return nil
	}
	// What is equal to a key is known when the key is. What a reference has for its value is not: it is not known
	// before the parts of the reference are.
	for again := true; again; {
		again = false
		for _, expr := range rule.Body {
			if expr.Negated || !expr.IsEquality() {
				continue
			}
			vars := varsOutsideRefs(expr)
			if len(vars.Intersect(keys)) > 0 && len(vars.Diff(keys)) > 0 {
				keys.Update(vars)
				again = true
			}
		}
	}
	ast.WalkRefs(rule.Body, func(ref ast.Ref) bool {
		if !ref.HasPrefix(ast.DefaultRootRef) {
			return false
		}
		for i, part := range ref[1:] {
			if v, ok := part.Value.(ast.Var); ok && keys.Contains(v) {
				refs = append(refs, ref[:i+2])
			}
		}
		return false
	})
	return refs
}

func varsOutsideRefs(x any) ast.VarSet {
	vars := ast.NewVarSet()
	ast.WalkTerms(x, func(t *ast.Term) bool {
		if v, ok := t.Value.(ast.Var); ok {
			vars.Add(v)
		}
		_, isRef := t.Value.(ast.Ref)
		return isRef || ast.IsComprehension(t.Value)
	})
	return vars
}

// has reports whether a function gives what such a rule makes, or has it in what it gives.
func (n *named) has(path []string) bool {
	// The first part numbers the functions that stand for others below a with.
	f := strings.Join(path[min(1, len(path)):], "\x00")
	for _, rule := range n.rules {
		if rule == f || strings.HasPrefix(rule, f+"\x00") || strings.HasPrefix(f, rule+"\x00") {
			return true
		}
	}
	return false
}

// maxLooked bounds the search in the data for what such names may be; beyond it, everything may.
const maxLooked = 10_000

// names are the kinds of names that a key may be for a member that a search finds by another key.
type names struct {
	indexes bool // text may be the index of a list
	numbers bool // a number may be the name of an object's member
}

// in finds them in the places where keys are looked up.
func (n *named) in(root ast.Object) (found names) {
	looked := 0
	var at func(v ast.Value, path ast.Ref)
	at = func(v ast.Value, path ast.Ref) {
		if looked++; looked > maxLooked || len(path) == 1 {
			found.of(v)
			return
		}
		below := func(t *ast.Term) {
			if t != nil {
				at(t.Value, path[1:])
			}
		}
		switch v := v.(type) {
		case ast.Object:
			if path[0].IsGround() {
				below(v.Get(path[0]))
			} else {
				v.Foreach(func(_, member *ast.Term) { below(member) })
			}
		case *ast.Array:
			if path[0].IsGround() {
				below(v.Get(path[0]))
			} else {
				v.Foreach(below)
			}
		}
	}
	for _, ref := range n.lists {
		at(root, ref[1:])
	}
	if looked > maxLooked {
		return names{indexes: true, numbers: true}
	}
	return found
}

func (n *names) of(v ast.Value) {
	switch v := v.(type) {
	case *ast.Array:
		n.indexes = n.indexes || v.Len() > 0
	case ast.Object:
		n.numbers = n.numbers || v.Until(func(key, _ *ast.Term) bool {
			text, ok := key.Value.(ast.String)
			return ok && text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9')
		})
	}
}

// have reports whether a key, or a part of it, may be such a name.
func (n names) have(key *value.Node) bool {
	switch key.Kind() {
	case value.Number:
		return n.numbers
	case value.String:
		if !n.indexes {
			return false
		}
		_, ok := util.Atoi(key.Text())
		return ok
	case value.Object:
		for i := range key.Len() {
			if k, x := key.Pair(i); n.have(k) || n.have(x) {
				return true
			}
		}
	case value.Array, value.Set:
		for i := range key.Len() {
			if n.have(key.Elem(i)) {
				return true
			}
		}
	}
	return false
}

// takesApart reports whether a loop compares parts of its keys, as s[[1, x]] does.
func takesApart(b *ir.Block, key ir.Local) bool {
	for _, stmt := range b.Stmts {
		switch s := stmt.(type) {
		case *ir.IsArrayStmt:
			if s.Source.Value == key {
				return true
			}
		case *ir.IsObjectStmt:
			if s.Source.Value == key {
				return true
			}
		}
	}
	return false
}

// markNamed marks the locals of a function that may hold what such a rule makes, or a part of it.
func (c *compiler) markNamed(bs []*ir.Block) map[ir.Local]bool {
	u := namedUse{c: c, marked: map[ir.Local]bool{}}
	if len(c.named.rules) == 0 {
		return u.marked
	}
	for u.again = true; u.again; {
		u.again = false
		u.blocks(bs)
	}
	return u.marked
}

type namedUse struct {
	c      *compiler
	marked map[ir.Local]bool
	again  bool
}

func (u *namedUse) mark(l ir.Local, yes bool) {
	if yes && !u.marked[l] {
		u.marked[l], u.again = true, true
	}
}

func (u *namedUse) holds(v ir.Val) bool {
	l, ok := v.(ir.Local)
	return ok && u.marked[l]
}

func (u *namedUse) blocks(bs []*ir.Block) {
	for _, b := range bs {
		for _, stmt := range b.Stmts {
			u.statement(stmt)
		}
	}
}

func (u *namedUse) statement(stmt ir.Stmt) {
	switch s := stmt.(type) {
	case *ir.BlockStmt:
		u.blocks(s.Blocks)
	case *ir.NotStmt:
		u.blocks([]*ir.Block{s.Block})
	case *ir.WithStmt:
		u.blocks([]*ir.Block{s.Block})
	case *ir.ScanStmt:
		u.mark(s.Value, u.holds(s.Source))
		u.blocks([]*ir.Block{s.Block})
	case *ir.CallStmt:
		u.mark(s.Result, u.c.givesNamed[s.Func])
	case *ir.CallDynamicStmt:
		u.mark(s.Result, true)
	case *ir.DotStmt:
		u.mark(s.Target, u.holds(s.Source.Value))
	case *ir.AssignVarStmt:
		u.mark(s.Target, u.holds(s.Source.Value))
	case *ir.ObjectInsertStmt:
		u.mark(s.Object, u.holds(s.Value.Value))
	case *ir.ObjectMergeStmt:
		u.mark(s.Target, u.holds(s.A) || u.holds(s.B))
	}
}
