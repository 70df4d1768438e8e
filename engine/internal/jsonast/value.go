package jsonast

import (
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// parsers are between two texts. What they keep of the texts before, short strings and numbers to be
// shared, is bounded.
var parsers = sync.Pool{New: func() any { return &parser{} }}

// mostKept is how many pairs and elements a parser keeps the room for.
const mostKept = 4096

// Value reads exactly one JSON value, as [Parse] does, but keeps nothing of the text: it may be
// changed afterwards.
func Value(text []byte) (ast.Value, error) {
	p, _ := parsers.Get().(*parser)
	p.text, p.at, p.depth = text, 0, 0
	term, err := p.whole()
	p.text = nil
	clear(p.pairs[:cap(p.pairs)])
	clear(p.elems[:cap(p.elems)])
	p.pairs, p.elems = p.pairs[:0], p.elems[:0]
	if cap(p.pairs) <= mostKept && cap(p.elems) <= mostKept && len(p.names.slots) <= 4*mostKept {
		parsers.Put(p)
	}
	if err != nil {
		return nil, err
	}
	return term.Value, nil
}
