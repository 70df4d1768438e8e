package jsonast

import (
	"bytes"
	"errors"
	"hash/maphash"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// errNotJSON carries no position: a caller that has to explain the fault asks encoding/json, which
// describes it well, and pays for that only when there is a fault.
var errNotJSON = errors.New("not one JSON value")

// Document is a JSON text and the value it stands for. It is immutable and safe for concurrent use.
type Document struct {
	text  []byte
	value ast.Value
	parts []part
	depth int // an upper bound for the levels of containers, see maxDepth
	// index maps the hash of a part's text to the part's place in parts. It is built at the first
	// use: most edits change values in place, and those never need it.
	index func() map[uint64]int
}

// part is an object or array that a later document may reuse. The parts of a document are in the
// order in which their texts begin, so the parts inside one follow it directly.
type part struct {
	start, end int // of its text
	after      int // index of the first later part that is not inside this one
	term       *ast.Term
	members    *members // nil unless the part is large, see minListedBytes
}

const (
	// maxPartDepth is how deep parts are recorded; the document itself has depth 1. An edit makes the
	// parser compare text once on each level around it, so more levels cost every edit a little, and
	// save only those whose siblings are large at that depth.
	maxPartDepth = 4
	// minPartBytes keeps what is recorded of a part small compared with the part's value.
	minPartBytes = 64
)

// Parse reads exactly one JSON value with the result that encoding/json and [ast.InterfaceToValue]
// have: of equal keys the last one counts, numbers keep their spelling, and bytes that are not UTF-8
// become U+FFFD.
//
// Objects and arrays that stand in previous with the same text become previous's values. previous
// affects neither the value nor the error; it may be nil.
//
// The document refers to text, so the caller must not change it afterwards. The error does not
// explain itself: it says that text is not JSON, or holds a number that OPA refuses.
func Parse(text []byte, previous *Document) (*Document, error) {
	return parse(text, previous, minListedBytes)
}

// parse has minListed as a parameter so that tests can reach the code for large texts with small ones.
func parse(text []byte, previous *Document, minListed int) (*Document, error) {
	d := &Document{text: text}
	d.index = sync.OnceValue(d.makeIndex)
	p := parser{text: text, document: d, minListed: minListed}
	if previous != nil && previous.depth+maxPartDepth <= maxDepth {
		p.deepest = previous.depth
		p.previous, p.candidates = previous, siblings{end: len(previous.parts)}
		d.parts = make([]part, 0, len(previous.parts)+1)
	}
	term, err := p.whole()
	if err != nil {
		return nil, err
	}
	d.value, d.depth = term.Value, p.deepest
	return d, nil
}

// Value returns what the text stands for. It is shared with other documents and must not be changed.
func (d *Document) Value() ast.Value { return d.value }

func (d *Document) textOf(i int) []byte { return d.text[d.parts[i].start:d.parts[i].end] }

// seed is random for each process, so that no file can be made to have texts of one hash.
var seed = maphash.MakeSeed()

func (d *Document) makeIndex() map[uint64]int {
	index := make(map[uint64]int, len(d.parts))
	for i := range d.parts {
		index[maphash.Bytes(seed, d.textOf(i))] = i
	}
	return index
}

// find returns the index of a part with that text. Of several any one will do: equal texts have equal
// values. The bytes are compared, since two texts may have one hash.
func (d *Document) find(text []byte) (i int, ok bool) {
	i, ok = d.index()[maphash.Bytes(seed, text)]
	return i, ok && bytes.Equal(d.textOf(i), text)
}

// adopt appends other's parts in the range. Their text begins shift bytes later in d than in other.
func (d *Document) adopt(other *Document, parts span, shift int) {
	first, later := len(d.parts), len(d.parts)-parts.from
	d.parts = append(d.parts, other.parts[parts.from:parts.to]...)
	for i := first; i < len(d.parts); i++ {
		p := &d.parts[i]
		p.start, p.end, p.after = p.start+shift, p.end+shift, p.after+later
	}
}

// span is the half-open range of indices from..to.
type span struct{ from, to int }
