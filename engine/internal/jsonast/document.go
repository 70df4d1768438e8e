package jsonast

import (
	"bytes"
	"errors"
	"hash/maphash"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// errNotJSON is all that is said of a text that is not JSON: encoding/json says more.
var errNotJSON = errors.New("not one JSON value")

// Document is a JSON text and the value that it stands for. It is immutable, and safe to be used by
// several goroutines.
type Document struct {
	text  []byte
	value ast.Value
	parts []part
	index func() map[uint64]int // where in parts is one whose text has that hash; made when it is needed
}

// part is a sub-tree that a later document may share. A document's parts are in the order of their
// beginnings, so that those inside of one follow it.
type part struct {
	start, end int // of its text
	after      int // the first part behind it that is not inside of it
	term       *ast.Term
	members    *members // nil unless it is large
}

const (
	// Parts are looked for so deep: the document itself is 1. Each level may cost those that did
	// change another look at their text.
	deepestPart = 4
	// A part has at least so many bytes, so that what is kept of it is little beside its value.
	smallestPart = 64
)

// Parse reads exactly one JSON value, as encoding/json and [ast.InterfaceToValue] do: of equal keys
// the last one counts, numbers stay as they are written, and what is not UTF-8 becomes U+FFFD.
// Sub-trees whose text previous has too are previous's values. previous may be nil. text must not be
// changed later. An error says only that it is not JSON, or JSON that OPA does not take.
func Parse(text []byte, previous *Document) (*Document, error) {
	return parse(text, previous, smallestListed)
}

func parse(text []byte, previous *Document, listed int) (*Document, error) {
	d := &Document{text: text}
	d.index = sync.OnceValue(d.makeIndex)
	p := parser{text: text, document: d, listed: listed}
	if previous != nil {
		p.previous, p.unpaired = previous, siblings{end: len(previous.parts)}
		d.parts = make([]part, 0, len(previous.parts)+1)
	}
	term, err := p.whole()
	if err != nil {
		return nil, err
	}
	d.value = term.Value
	return d, nil
}

// Value is what the text stands for.
func (d *Document) Value() ast.Value { return d.value }

func (d *Document) textOf(i int) []byte { return d.text[d.parts[i].start:d.parts[i].end] }

// seed is that of the hashes of one run of the program, which nobody else sees.
var seed = maphash.MakeSeed()

func (d *Document) makeIndex() map[uint64]int {
	index := make(map[uint64]int, len(d.parts))
	for i := range d.parts {
		index[maphash.Bytes(seed, d.textOf(i))] = i
	}
	return index
}

// find returns where in parts one with that text is.
func (d *Document) find(text []byte) (i int, ok bool) {
	i, ok = d.index()[maphash.Bytes(seed, text)]
	return i, ok && bytes.Equal(d.textOf(i), text)
}

// adopt takes over parts of another document, each with those inside of it. Their text begins so many bytes
// further on in this one.
func (d *Document) adopt(other *Document, parts span, moved int) {
	first, later := len(d.parts), len(d.parts)-parts.from
	d.parts = append(d.parts, other.parts[parts.from:parts.to]...)
	for i := first; i < len(d.parts); i++ {
		p := &d.parts[i]
		p.start, p.end, p.after = p.start+moved, p.end+moved, p.after+later
	}
}

// endOf is where the object or array that begins at start ends, by its brackets alone; it means
// nothing where the text is not JSON. ok is false when it does not end.
func endOf(text []byte, start int) (end int, ok bool) {
	depth := 0
	for i := start; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1, true
			}
		case '"':
			if i, ok = endOfString(text, i); !ok {
				return 0, false
			}
			i--
		}
	}
	return 0, false
}

// endOfString is where the string that begins at start ends: behind its closing quote.
func endOfString(text []byte, start int) (end int, ok bool) {
	for i := start + 1; ; i++ {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return 0, false
		}
		i += n
		escapes := 0
		for text[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1, true
		}
	}
}
