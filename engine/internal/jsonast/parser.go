package jsonast

import "github.com/open-policy-agent/opa/v1/ast"

// maxDepth is encoding/json's limit for objects and arrays inside each other. Parts are reused without
// a look at what is inside them, and one may move to another level. So each document has a bound for
// its depth that grows with every such move, and one that comes near the limit is not reused.
const maxDepth = 10000

// parser reads one text. Its zero value with a text reads that text without recording anything.
type parser struct {
	text     []byte
	pos      int
	depth    int       // of containers around pos
	deepest  int       // an upper bound for depth so far, also in what was reused
	document *Document // collects the parts; nil if no later document will reuse them

	minListed  int       // minListedBytes, or less in a test
	previous   *Document // nil if there is none
	candidates siblings  // parts of previous that may come next at this level

	// Members of all containers that are open at pos, the outermost container's first. One stack
	// for all of them saves a slice for each container.
	pairs [][2]*ast.Term
	elems []*ast.Term
	ends  []int

	strings, numbers internTable
}

// whole reads the text to its end.
func (p *parser) whole() (*ast.Term, error) {
	p.space()
	term, err := p.value()
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.text) {
		return nil, errNotJSON
	}
	return term, nil
}

func (p *parser) value() (*ast.Term, error) {
	switch p.peek() {
	case '{', '[':
		return p.container()
	case '"':
		return p.str()
	case 't':
		return p.literal("true", ast.InternedBooleanTrue)
	case 'f':
		return p.literal("false", ast.InternedBooleanFalse)
	case 'n':
		return p.literal("null", ast.InternedNullTerm)
	default:
		return p.number()
	}
}

// container returns the value of an object or array, by the cheapest of three ways: the whole of it
// from the previous document, its members from there as far as they are the same, or by reading.
func (p *parser) container() (*ast.Term, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return nil, errNotJSON
	}
	p.deepest = max(p.deepest, p.depth)
	if p.depth > maxPartDepth || p.document == nil {
		return p.read(nil)
	}
	if term := p.reused(); term != nil {
		return term, nil
	}
	outer, f := p.candidates, p.newFrame()
	p.candidates = outer.inside(p.previous)
	// The part takes its place before those inside it are appended: that is their order.
	i := len(p.document.parts)
	p.document.parts = append(p.document.parts, part{})
	term, err := p.read(&f)
	p.candidates = outer
	if err != nil {
		return nil, err
	}
	p.ends = p.ends[:f.firstEnd]
	if p.pos-f.start < minPartBytes {
		p.document.parts = p.document.parts[:i] // drops those inside too, which are smaller still
		return term, nil
	}
	p.document.parts[i] = part{start: f.start, end: p.pos, after: len(p.document.parts), term: term, members: f.keep}
	p.candidates.skip(p.previous)
	return term, nil
}

// read reads an object or array. f is nil if nothing of it is reused or recorded.
func (p *parser) read(f *frame) (*ast.Term, error) {
	if p.text[p.pos] == '{' {
		return p.object(f)
	}
	return p.array(f)
}

func (p *parser) object(f *frame) (*ast.Term, error) {
	p.pos++
	first := len(p.pairs)
	for p.reuseMembers(f); p.peek() != '}'; p.reuseMembers(f) {
		if len(p.pairs) > first {
			if err := p.expect(','); err != nil {
				return nil, err
			}
		}
		if p.peek() != '"' {
			return nil, errNotJSON
		}
		key, err := p.str()
		if err != nil {
			return nil, err
		}
		p.space()
		if err := p.expect(':'); err != nil {
			return nil, err
		}
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		p.pairs = append(p.pairs, [2]*ast.Term{key, value})
		p.noteMember(f)
	}
	p.pos++
	if len(p.pairs) == first {
		return ast.InternedEmptyObject, nil
	}
	term := p.newObject(p.pairs[first:], f)
	p.pairs = p.pairs[:first]
	return term, nil
}

func (p *parser) array(f *frame) (*ast.Term, error) {
	p.pos++
	first := len(p.elems)
	for p.reuseMembers(f); p.peek() != ']'; p.reuseMembers(f) {
		if len(p.elems) > first {
			if err := p.expect(','); err != nil {
				return nil, err
			}
		}
		elem, err := p.value()
		if err != nil {
			return nil, err
		}
		p.elems = append(p.elems, elem)
		p.noteMember(f)
	}
	p.pos++
	if len(p.elems) == first {
		return ast.InternedEmptyArray, nil
	}
	term := p.newArray(p.elems[first:], f)
	p.elems = p.elems[:first]
	return term, nil
}
