package jsonast

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

// deepest is how many objects and arrays encoding/json lets lie within each other.
const deepest = 10000

type parser struct {
	text     []byte
	at       int // what of text was read
	depth    int
	document *Document // nil where nothing of the text is to be found again

	listed   int // how large the text of an object or array is at least whose members are kept
	previous *Document
	unpaired siblings // previous's parts inside of what is being read, behind those that were seen

	agreed agreement // of text and previous's, as found last

	// What was read of the objects and arrays around at, one behind the other.
	pairs [][2]*ast.Term
	elems []*ast.Term
	ends  []int
	names nameSet

	// Short strings and numbers repeat; the last one for each hash is kept.
	strings, numbers [2048]*ast.Term
}

// longestKept is how many bytes a string or number has at most that is kept to be shared.
const longestKept = 32

func (p *parser) whole() (*ast.Term, error) {
	p.space()
	term, err := p.value()
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, errNotJSON
	}
	return term, nil
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// peek is the next byte, 0 at the end: no JSON has it outside of a string.
func (p *parser) peek() byte {
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
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

func (p *parser) literal(text string, term *ast.Term) (*ast.Term, error) {
	if end := p.at + len(text); end <= len(p.text) && string(p.text[p.at:end]) == text {
		p.at = end
		return term, nil
	}
	return nil, errNotJSON
}

// container reads an object or an array, or takes what the previous document made of the same text.
func (p *parser) container() (*ast.Term, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > deepest {
		return nil, errNotJSON
	}
	if p.depth > deepestPart || p.document == nil {
		return p.members(nil)
	}
	if term := p.known(); term != nil {
		return term, nil
	}
	around, r := p.unpaired, p.beside()
	p.unpaired = around.inside(p.previous)
	i := len(p.document.parts)
	p.document.parts = append(p.document.parts, part{})
	term, err := p.members(&r)
	p.unpaired = around
	if err != nil {
		return nil, err
	}
	p.ends = p.ends[:r.first]
	if p.at-r.start < smallestPart {
		p.document.parts = p.document.parts[:i] // what is inside of it is smaller still
		return term, nil
	}
	p.document.parts[i] = part{start: r.start, end: p.at, after: len(p.document.parts), term: term, members: r.members}
	p.unpaired.skip(p.previous)
	return term, nil
}

// siblings are parts beside each other, from next on.
type siblings struct {
	next, end int
	missed    bool // the one before next was not what stood there
}

func (s siblings) empty() bool { return s.next >= s.end }

// inside is the siblings that are in the next one.
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

// largestSought is how large a part is at most, in bytes, that is looked for everywhere in the
// previous document, once it is not where it was: of a larger one it is rather a piece that changed.
const largestSought = 1 << 14

// known takes the object or array from the previous document. Most are where they were: the next one
// of the same siblings. Where one is not, it was edited; where a second one is not, others were added,
// removed or moved, and the text leads to it.
func (p *parser) known() *ast.Term {
	if p.previous == nil {
		return nil
	}
	if !p.unpaired.empty() {
		was := p.previous.textOf(p.unpaired.next)
		if p.previous.parts[p.unpaired.next].members == nil && bytes.HasPrefix(p.text[p.at:], was) { // brackets close, so nothing can follow in it
			return p.take(p.unpaired.next)
		}
		missed := p.unpaired.missed
		p.unpaired.missed = true
		if !missed || len(was) > largestSought {
			return nil
		}
	}
	end, ok := endOf(p.text, p.at)
	if !ok || end-p.at < smallestPart {
		return nil
	}
	i, ok := p.previous.find(p.text[p.at:end])
	if !ok {
		return nil
	}
	return p.take(i)
}

// take makes the i-th part of the previous document the next value here. Its siblings are likely to
// be those of what follows.
func (p *parser) take(i int) *ast.Term {
	part := p.previous.parts[i]
	p.document.adopt(p.previous, span{i, part.after}, p.at-part.start)
	p.at += part.end - part.start
	p.unpaired.missed = false
	if p.unpaired.next <= i && i < p.unpaired.end {
		p.unpaired.next = part.after
	}
	return part.term
}

// members reads an object or array; r is nil where nothing of it is to be found again.
func (p *parser) members(r *reading) (*ast.Term, error) {
	if p.text[p.at] == '{' {
		return p.object(r)
	}
	return p.array(r)
}

func (p *parser) object(r *reading) (*ast.Term, error) {
	p.at++
	first := len(p.pairs)
	for p.share(r); p.peek() != '}'; p.share(r) {
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
		p.ended(r)
	}
	p.at++
	if len(p.pairs) == first {
		return ast.InternedEmptyObject, nil
	}
	term := p.newObject(p.pairs[first:], r)
	p.pairs = p.pairs[:first]
	return term, nil
}

func (p *parser) array(r *reading) (*ast.Term, error) {
	p.at++
	first := len(p.elems)
	for p.share(r); p.peek() != ']'; p.share(r) {
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
		p.ended(r)
	}
	p.at++
	if len(p.elems) == first {
		return ast.InternedEmptyArray, nil
	}
	term := p.newArray(p.elems[first:], r)
	p.elems = p.elems[:first]
	return term, nil
}

// expect reads one byte and the space behind it.
func (p *parser) expect(c byte) error {
	if p.peek() != c {
		return errNotJSON
	}
	p.at++
	p.space()
	return nil
}

func (p *parser) str() (*ast.Term, error) {
	start := p.at + 1
	ascii := true
	for i := start; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '"':
			text := p.text[start:i]
			if !ascii && !utf8.Valid(text) {
				return p.escaped()
			}
			p.at = i + 1
			return p.kept(&p.strings, text, stringTerm)
		case c == '\\':
			return p.escaped()
		case c < ' ':
			return nil, errNotJSON
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, errNotJSON
}

// escaped reads a string whose bytes are not its text.
func (p *parser) escaped() (*ast.Term, error) {
	end, ok := endOfString(p.text, p.at)
	if !ok {
		return nil, errNotJSON
	}
	var text string
	if err := json.Unmarshal(p.text[p.at:end], &text); err != nil {
		return nil, errNotJSON
	}
	p.at = end
	return stringTerm(text)
}

func (p *parser) number() (*ast.Term, error) {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if !p.digits() {
		return nil, errNotJSON
	}
	if p.peek() == '.' {
		p.at++
		if !p.digits() {
			return nil, errNotJSON
		}
	}
	if p.peek()|0x20 == 'e' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if !p.digits() {
			return nil, errNotJSON
		}
	}
	return p.kept(&p.numbers, p.text[start:p.at], numberTerm)
}

// digits reads all that follow, and reports whether there was one.
func (p *parser) digits() bool {
	start := p.at
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at > start
}

// kept makes a term of a text, or takes the one that was made of it before.
func (p *parser) kept(terms *[2048]*ast.Term, text []byte, make func(string) (*ast.Term, error)) (*ast.Term, error) {
	if len(text) > longestKept {
		return make(string(text))
	}
	kept := &terms[maphash.Bytes(seed, text)%uint64(len(terms))]
	if *kept != nil && has((*kept).Value, text) {
		return *kept, nil
	}
	term, err := make(string(text))
	if err == nil {
		*kept = term
	}
	return term, err
}

func has(v ast.Value, text []byte) bool {
	switch v := v.(type) {
	case ast.String:
		return string(v) == string(text)
	case ast.Number:
		return string(v) == string(text)
	default:
		return false
	}
}

func stringTerm(text string) (*ast.Term, error) { return ast.InternedTerm(text), nil }

func numberTerm(text string) (*ast.Term, error) {
	if term := ast.InternedIntNumberTermFromString(text); term != nil {
		return term, nil
	}
	number, err := ast.NumberChecked(text)
	return ast.NewTerm(number), err
}
