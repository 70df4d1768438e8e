package value

import (
	"encoding/json"
	"strings"

	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
)

// FromText makes the node of a text. What is in an object or array is read when it is looked at.
func (a *Arena) FromText(t *Text) *Node {
	a.texts = append(a.texts, t)
	r := reader{arena: a, from: t, text: t.text, which: int64(len(a.texts)-1) << whichShift}
	return r.value()
}

// FromTexts makes the node of over with the keys that only base has, at every depth at which both are objects.
func (a *Arena) FromTexts(base, over *Text) *Node {
	return a.joined(a.FromText(base), a.FromText(over))
}

func (a *Arena) joined(base, over *Node) *Node {
	if base.kind != Object || over.kind != Object {
		return over
	}
	base.open()
	over.open()
	n := a.Empty(Object, (len(base.items)+len(over.items))/2)
	n.items = append(n.items, over.items...)
	for i := 0; i < len(base.items); i += 2 {
		if at := over.find(base.items[i], 2); at >= 0 {
			n.items[at+1] = a.joined(base.items[i+1], over.items[at+1])
		} else {
			n.items = append(n.items, base.items[i], base.items[i+1])
		}
	}
	return n
}

// whichShift leaves the lower half of a node's num to the number of a span.
const whichShift = 32

// openText makes the items of a node whose text was not read yet. An object that has a key twice has the last value,
// as package jsonast has it.
func (n *Node) openText() {
	from := n.owner.texts[n.num>>whichShift]
	at := n.num & (1<<whichShift - 1)
	r := reader{
		arena: n.owner, from: from, text: n.str, pos: 1,
		which: n.num &^ (1<<whichShift - 1), next: uint32(at) + 1, //nolint:gosec // it was a uint32
	}
	count := int(from.spans[at].count)
	n.num, n.str = 0, ""
	if n.kind == Array {
		n.items = n.owner.take(count)
		for range count {
			n.items = append(n.items, r.value())
		}
		return
	}
	n.items = n.owner.take(2 * count)
	for range count {
		key, x := r.value(), r.value()
		if count > maxComparedKeys {
			n.Insert(key, x)
		} else if at := n.findText(key.str); at >= 0 {
			n.items[at+1] = x
		} else {
			n.items = append(n.items, key, x)
		}
	}
}

// maxComparedKeys is how many keys are compared with each other one by one.
const maxComparedKeys = 16

// findText finds a key of an object whose keys are all strings.
func (n *Node) findText(key string) int {
	for i := 0; i < len(n.items); i += 2 {
		if n.items[i].str == key {
			return i
		}
	}
	return -1
}

// reader makes nodes of a text that was scanned, so it meets no fault.
type reader struct {
	arena *Arena
	from  *Text
	text  string // of a container
	pos   int
	which int64  // the text's number in the arena, shifted
	next  uint32 // the span of the next container
}

// value reads the next value, and passes over what stands before it.
func (r *reader) value() *Node {
	for {
		switch c := r.text[r.pos]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			r.pos++
			continue
		case '{':
			return r.container(Object)
		case '[':
			return r.container(Array)
		case '"':
			return r.str()
		case 't':
			r.pos += len("true")
			return True
		case 'f':
			r.pos += len("false")
			return False
		case 'n':
			r.pos += len("null")
			return NullNode
		default:
			return r.number()
		}
	}
}

func (r *reader) container(kind Kind) *Node {
	s := r.from.spans[r.next]
	n := r.arena.next()
	n.kind, n.marks = kind, lazy
	n.num, n.str = r.which|int64(r.next), r.text[r.pos:r.pos+int(s.bytes)]
	r.pos, r.next = r.pos+int(s.bytes), s.after
	return n
}

func (r *reader) str() *Node {
	start := r.pos + 1
	end := start + strings.IndexByte(r.text[start:], '"')
	if !r.from.plain {
		if at := strings.IndexByte(r.text[start:end], '\\'); at >= 0 {
			return r.escaped(start + at)
		}
	}
	r.pos = end + 1
	return r.arena.String(r.text[start:end])
}

// escaped reads a string with a first escape at a place. encoding/json says what it means: its treatment of surrogates
// is the one that is promised.
func (r *reader) escaped(at int) *Node {
	start := r.pos
	for r.text[at] != '"' {
		if r.text[at] == '\\' {
			at++
		}
		at++
	}
	r.pos = at + 1
	var text string
	_ = json.Unmarshal([]byte(r.text[start:r.pos]), &text) // scanned
	r.arena.Count(len(text))
	return r.arena.String(text)
}

func (r *reader) number() *Node {
	start := r.pos
	for r.pos < len(r.text) && isOfNumber[r.text[r.pos]] {
		r.pos++
	}
	n, err := r.arena.NumberText(r.text[start:r.pos])
	if err != nil { // noted in the arena; the scan left none of them
		return NullNode
	}
	return n
}

var isOfNumber = [256]bool{
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'-': true, '+': true, '.': true, 'e': true, 'E': true,
}

// ofText is the value of a node whose text was not read yet.
func (n *Node) ofText() ast.Value {
	v, err := jsonast.Value([]byte(n.str))
	if err != nil { // the scan left none of them
		n.owner.err = err
		return ast.Null{}
	}
	return v
}
