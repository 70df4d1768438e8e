package probe

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// bind notes what the last call of a query bound its result to.
func (w *watch) bind(e *topdown.Event, f *frame) {
	s := f.call
	f.call = nil
	if s == nil {
		return
	}
	terms, _ := s.expr.Terms.([]*ast.Term)
	b := ast.BuiltinMap[s.op]
	if b == nil || len(terms)-1 != b.Decl.Arity()+1 {
		return
	}
	v, isVar := terms[len(terms)-1].Value.(ast.Var)
	got := e.Plug(terms[len(terms)-1])
	if !isVar || !got.IsGround() || !w.tainted(s.args[:len(s.args)-1]) {
		return
	}
	if _, ok := w.places[got]; ok {
		return // a part of the input itself
	}
	o := &origin{call: s.op, args: s.args[:len(s.args)-1], was: got.Value}
	if f.vars == nil {
		f.vars = map[ast.Var]*origin{}
	}
	f.vars[v] = o
	w.derived[got] = o
	w.parts(got.Value, o, 0)
}

const maxParts = 40

// parts notes the parts of a result, such as those of a split text.
func (w *watch) parts(v ast.Value, of *origin, depth int) {
	if depth > 2 {
		return
	}
	note := func(key ast.Value, t *ast.Term) {
		if _, ok := w.places[t]; ok || w.derived[t] != nil && w.derived[t].call != elem {
			return
		}
		o := &origin{call: elem, of: of, key: key, was: t.Value}
		w.derived[t] = o
		w.parts(t.Value, o, depth+1)
	}
	switch v := v.(type) {
	case *ast.Array:
		for i := range min(v.Len(), maxParts) {
			note(ast.InternedTerm(i).Value, v.Elem(i))
		}
	case ast.Object:
		for i, k := range v.Keys() {
			if i < maxParts {
				note(k.Value, v.Get(k))
			}
		}
	}
}

// tainted reports whether something of the operands came from the input.
func (w *watch) tainted(args []operand) bool {
	for i := range args {
		if args[i].term == nil {
			continue
		}
		if args[i].from != nil || w.holdsInput(args[i].term, 0) {
			return true
		}
	}
	return false
}

func (w *watch) holdsInput(t *ast.Term, depth int) bool {
	if w.originOf(t) != nil {
		return true
	}
	if depth > 2 {
		return false
	}
	found := false
	switch v := t.Value.(type) {
	case *ast.Array:
		for i := 0; i < v.Len() && i < maxParts && !found; i++ {
			found = w.holdsInput(v.Elem(i), depth+1)
		}
	case ast.Object:
		for i, k := range v.Keys() {
			if found || i >= maxParts {
				break
			}
			found = w.holdsInput(v.Get(k), depth+1)
		}
	case ast.Set:
		for i, k := range v.Slice() {
			if found || i >= maxParts {
				break
			}
			found = w.holdsInput(k, depth+1)
		}
	}
	return found
}
