package jsonast

import (
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// parsers keep their stacks and intern tables from one text to the next: every decision reads its
// input here. What an intern table holds is bounded, so is what a pooled parser does.
var parsers = sync.Pool{New: func() any { return &parser{} }}

// maxPooledMembers bounds the stacks of a pooled parser: one huge input must not occupy the memory of
// its members for good.
const maxPooledMembers = 4096

// Value reads exactly one JSON value, as [Parse] does. It keeps nothing of text, which the caller may
// change afterwards. Safe for concurrent use.
func Value(text []byte) (ast.Value, error) {
	p, _ := parsers.Get().(*parser)
	p.text, p.pos, p.depth = text, 0, 0
	term, err := p.whole()
	p.text = nil
	// To their capacity: members that were popped still lie behind the length, and would keep alive
	// the values of this text.
	clear(p.pairs[:cap(p.pairs)])
	clear(p.elems[:cap(p.elems)])
	p.pairs, p.elems = p.pairs[:0], p.elems[:0]
	if cap(p.pairs) <= maxPooledMembers && cap(p.elems) <= maxPooledMembers {
		parsers.Put(p)
	}
	if err != nil {
		return nil, err
	}
	return term.Value, nil
}
