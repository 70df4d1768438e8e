package jsonast

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// members are what a large object or array holds, in the order of the text. A later document takes
// stretches of them without reading their text. OPA's values do not serve: an object sorts its keys,
// and neither it nor an array tells where in the text a member stood.
type members struct {
	pairs [][2]*ast.Term // of an object, no two with the same key
	elems []*ast.Term    // of an array
	ends  []int          // where the text of each one ends, counted from the start of the container's
}

// minListedBytes is the size of text from which on a container's members are kept. A smaller
// container is read again sooner than its list is worth its memory: at least 24 bytes a member.
const minListedBytes = 1 << 16

func (p *parser) keeps(f *frame) bool { return f != nil && p.pos-f.start >= p.minListed }

// keep records the members of a large container, for the document after this one.
func (p *parser) keep(f *frame, pairs [][2]*ast.Term, elems []*ast.Term) {
	if p.keeps(f) {
		f.keep = &members{pairs: pairs, elems: elems, ends: slices.Clone(p.ends[f.firstEnd:])}
	}
}

// newObject makes the value of an object from its pairs, which lie on the parser's stack.
func (p *parser) newObject(pairs [][2]*ast.Term, f *frame) *ast.Term {
	if p.unchanged(f) {
		p.keep(f, f.old.pairs, nil)
		return f.oldTerm
	}
	if !f.provesUnique(pairs) && repeated(pairs) {
		// Its members are not kept: which pair of two counts depends on both of them.
		return ast.NewTerm(withoutRepeats(pairs))
	}
	if p.keeps(f) {
		pairs = slices.Clone(pairs) // the stack is overwritten
		p.keep(f, pairs, nil)
	}
	return ast.NewTerm(ast.NewObject(pairs...))
}

// newArray makes the value of an array from its elements, which lie on the parser's stack.
func (p *parser) newArray(elems []*ast.Term, f *frame) *ast.Term {
	if p.unchanged(f) {
		p.keep(f, nil, f.old.elems)
		return f.oldTerm
	}
	elems = slices.Clone(elems) // NewArray does not copy, and the stack is overwritten
	p.keep(f, nil, elems)
	return ast.NewTerm(ast.NewArray(elems...))
}

// withoutRepeats makes an object of the last pair of each key. [ast.NewObject] would keep both.
func withoutRepeats(pairs [][2]*ast.Term) ast.Object {
	last := make(map[ast.Value]*ast.Term, len(pairs))
	for _, pair := range pairs {
		last[pair[0].Value] = pair[1]
	}
	unique := make([][2]*ast.Term, 0, len(last))
	for key, value := range last {
		unique = append(unique, [2]*ast.Term{ast.NewTerm(key), value})
	}
	return ast.NewObject(unique...)
}
