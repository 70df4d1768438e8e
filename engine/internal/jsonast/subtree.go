package jsonast

import (
	"bytes"

	"github.com/open-policy-agent/opa/v1/ast"
)

// siblings are neighbouring parts of the previous document: those from next on, at one level, inside
// the part that takes the place of the container being read. They are where the containers that
// follow are looked for first.
type siblings struct {
	next, end int
	missed    bool // the last container read was not the part that was next
}

func (s siblings) empty() bool { return s.next >= s.end }

// inside returns the siblings one level down, in the part that is next.
func (s siblings) inside(d *Document) siblings {
	if s.empty() {
		return siblings{}
	}
	return siblings{next: s.next + 1, end: d.parts[s.next].after}
}

func (s *siblings) skip(d *Document) {
	if !s.empty() {
		s.next = d.parts[s.next].after
	}
}

// maxSearchedBytes bounds the parts that are looked for in the whole previous document. A larger one
// that is not in its place has rather been edited, so the search would hash it and find nothing.
const maxSearchedBytes = 1 << 14

// reused returns the object or array at pos from the previous document, or nil if it has to be read.
//
// Most containers stand where they stood, so the next sibling is compared first; that needs neither
// a hash nor the end of the container. One that differs was probably edited in place: it is read, and
// what is inside it has the same chance. If its neighbour differs too, then members were added,
// removed or moved, and the container is looked up by its text.
func (p *parser) reused() *ast.Term {
	if p.previous == nil {
		return nil
	}
	if !p.candidates.empty() {
		old := p.previous.textOf(p.candidates.next)
		// A prefix is enough: its brackets close, so it is the whole container here too. Large parts
		// are left to reuseMembers, which compares them once even if they differ.
		if p.previous.parts[p.candidates.next].members == nil && bytes.HasPrefix(p.text[p.pos:], old) {
			return p.take(p.candidates.next)
		}
		missed := p.candidates.missed
		p.candidates.missed = true
		if !missed || len(old) > maxSearchedBytes {
			return nil
		}
	}
	end, ok := endOfContainer(p.text, p.pos)
	if !ok || end-p.pos < minPartBytes {
		return nil
	}
	i, ok := p.previous.find(p.text[p.pos:end])
	if !ok {
		return nil
	}
	p.deepest = max(p.deepest, p.previous.depth+maxPartDepth) // it may come from a level further out
	return p.take(i)
}

// take makes part i of the previous document the value at pos, and its parts parts of this document.
func (p *parser) take(i int) *ast.Term {
	old := p.previous.parts[i]
	p.document.adopt(p.previous, span{i, old.after}, p.pos-old.start)
	p.pos += old.end - old.start
	p.candidates.missed = false
	// A part from another level says nothing about what follows here.
	if p.candidates.next <= i && i < p.candidates.end {
		p.candidates.next = old.after
	}
	return old.term
}
