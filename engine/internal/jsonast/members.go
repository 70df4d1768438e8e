package jsonast

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// members are what a large object or array holds, in the order of the text. A later document takes from
// them what its text has in common with this one's, without reading it.
type members struct {
	pairs [][2]*ast.Term // of an object, no two with the same key
	elems []*ast.Term    // of an array
	ends  []int          // where the text of each one ends, from where that of the object or array begins
}

// smallestListed is how large the text of an object or array is at least, in bytes, whose members are
// kept: of a smaller one they are read again sooner than they are worth their memory.
const smallestListed = 1 << 16

// lists reports whether the members of what was read are to be kept.
func (p *parser) lists(r *reading) bool { return r != nil && p.at-r.start >= p.listed }

// list keeps the members of what was read.
func (p *parser) list(r *reading, pairs [][2]*ast.Term, elems []*ast.Term) {
	if p.lists(r) {
		r.members = &members{pairs: pairs, elems: elems, ends: slices.Clone(p.ends[r.first:])}
	}
}

func (p *parser) newObject(pairs [][2]*ast.Term, r *reading) *ast.Term {
	if p.unchanged(r) {
		p.list(r, r.was.pairs, nil)
		return r.term
	}
	if !r.unique(pairs) && p.names.repeat(pairs) {
		return ast.NewTerm(withoutRepeats(pairs))
	}
	if p.lists(r) {
		pairs = slices.Clone(pairs)
		p.list(r, pairs, nil)
	}
	return ast.NewTerm(ast.NewObject(pairs...))
}

func (p *parser) newArray(elems []*ast.Term, r *reading) *ast.Term {
	if p.unchanged(r) {
		p.list(r, nil, r.was.elems)
		return r.term
	}
	elems = slices.Clone(elems)
	p.list(r, nil, elems)
	return ast.NewTerm(ast.NewArray(elems...))
}

// withoutRepeats makes an object of the last one of each key: [ast.NewObject] trusts that there is only one.
func withoutRepeats(pairs [][2]*ast.Term) ast.Object {
	last := make(map[ast.Value]*ast.Term, len(pairs))
	for _, pair := range pairs {
		last[pair[0].Value] = pair[1]
	}
	kept := make([][2]*ast.Term, 0, len(last))
	for key, value := range last {
		kept = append(kept, [2]*ast.Term{ast.NewTerm(key), value})
	}
	return ast.NewObject(kept...)
}
