package value

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// FromAST makes the node of a ground value. Objects, arrays and sets are taken apart when they are looked at; what
// has no node is noted in [Arena.Err] then. nil is of a value that is not ground.
func (a *Arena) FromAST(t *ast.Term) *Node {
	switch v := t.Value.(type) {
	case ast.Null:
		return NullNode
	case ast.Boolean:
		return Bool(bool(v))
	case ast.Number:
		n, err := a.NumberText(string(v))
		if err != nil {
			return NullNode
		}
		return n
	case ast.String:
		n := a.next()
		n.kind, n.str, n.term = String, string(v), t
		return n
	case *ast.Array:
		return a.lazy(Array, t)
	case ast.Object:
		return a.lazy(Object, t)
	case ast.Set:
		return a.lazy(Set, t)
	default:
		return nil
	}
}

func (a *Arena) lazy(kind Kind, t *ast.Term) *Node {
	n := a.next()
	n.kind, n.marks, n.term = kind, lazy, t
	return n
}

// open makes the items of a node that was taken over from OPA, or that is a text so far.
func (n *Node) open() {
	if n.marks&lazy == 0 {
		return
	}
	n.marks &^= lazy
	if n.term == nil {
		n.openText()
		return
	}
	a := n.owner
	member := func(t *ast.Term) {
		x := a.FromAST(t)
		if x == nil {
			a.err, x = ErrNumber, NullNode
		}
		n.items = append(n.items, x)
	}
	switch v := n.term.Value.(type) {
	case *ast.Array:
		n.items = a.take(v.Len())
		v.Foreach(member)
	case ast.Object:
		n.items = a.take(2 * v.Len())
		v.Foreach(func(k, x *ast.Term) {
			member(k)
			member(x)
		})
		n.marks |= sorted
	case ast.Set:
		n.items = a.take(v.Len())
		v.Foreach(member)
		n.marks |= sorted
	}
}

// Term is the same value as OPA's. It refers to nothing of an arena.
func (n *Node) Term() *ast.Term {
	if n.term != nil && n.marks&partial == 0 {
		return n.term
	}
	t := ast.NewTerm(n.astValue())
	if n.owner != nil && n.marks&partial == 0 {
		n.term = t
	}
	return t
}

func (n *Node) astValue() ast.Value {
	if n.marks&lazy != 0 {
		return n.ofText()
	}
	switch n.kind {
	case String: // copied: a part of an input must not keep all of its text alive
		return ast.String(strings.Clone(n.str))
	case Number:
		return ast.Number(strings.Clone(n.numberText()))
	case Array:
		terms := make([]*ast.Term, len(n.items))
		for i, x := range n.items {
			terms[i] = x.Term()
		}
		return ast.NewArray(terms...)
	case Object:
		terms := make([][2]*ast.Term, len(n.items)/2)
		for i := range terms {
			terms[i] = [2]*ast.Term{n.items[2*i].Term(), n.items[2*i+1].Term()}
		}
		return ast.NewObject(terms...)
	default: // Null and Boolean have their terms
		terms := make([]*ast.Term, len(n.items))
		for i, x := range n.items {
			terms[i] = x.Term()
		}
		return ast.NewSet(terms...)
	}
}
