package jsonast

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

func (p *parser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end of the text. No JSON has a 0 outside a string, where
// str looks for itself, so callers need not tell the two apart.
func (p *parser) peek() byte {
	if p.pos == len(p.text) {
		return 0
	}
	return p.text[p.pos]
}

// expect reads one byte and the space behind it.
func (p *parser) expect(c byte) error {
	if p.peek() != c {
		return errNotJSON
	}
	p.pos++
	p.space()
	return nil
}

func (p *parser) literal(text string, term *ast.Term) (*ast.Term, error) {
	if end := p.pos + len(text); end <= len(p.text) && string(p.text[p.pos:end]) == text {
		p.pos = end
		return term, nil
	}
	return nil, errNotJSON
}

func (p *parser) str() (*ast.Term, error) {
	start := p.pos + 1
	ascii := true
	for i := start; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '"':
			text := p.text[start:i]
			if !ascii && !utf8.Valid(text) {
				return p.escaped()
			}
			p.pos = i + 1
			return p.strings.term(text, stringTerm)
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

// escaped reads a string whose bytes are not its text. They are rare enough to be left to
// encoding/json, whose treatment of surrogates and of wrong UTF-8 is the one that is promised.
func (p *parser) escaped() (*ast.Term, error) {
	end, ok := endOfString(p.text, p.pos)
	if !ok {
		return nil, errNotJSON
	}
	var text string
	if err := json.Unmarshal(p.text[p.pos:end], &text); err != nil {
		return nil, errNotJSON
	}
	p.pos = end
	return stringTerm(text)
}

// number reads by JSON's grammar. The spelling becomes the value: OPA compares 1.0 and 1 as equal,
// and prints each as it was written.
func (p *parser) number() (*ast.Term, error) {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if !p.digits() {
		return nil, errNotJSON
	}
	if p.peek() == '.' {
		p.pos++
		if !p.digits() {
			return nil, errNotJSON
		}
	}
	if p.peek()|0x20 == 'e' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return nil, errNotJSON
		}
	}
	return p.numbers.term(p.text[start:p.pos], numberTerm)
}

// digits reports whether there was at least one.
func (p *parser) digits() bool {
	start := p.pos
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos > start
}

// internTable is a cache of terms by their text. A new term for a slot evicts the one before, which
// bounds the memory and needs no bookkeeping. Data repeats its keys and many of its values: without
// the table BenchmarkParse/Whole allocates 4.1 million times, not 1.6, and 135 MB, not 97.
type internTable [2048]*ast.Term

// maxInternedBytes leaves out texts that are too long to repeat often.
const maxInternedBytes = 32

// term returns the cached term of a text, or has create make one.
func (t *internTable) term(text []byte, create func(string) (*ast.Term, error)) (*ast.Term, error) {
	if len(text) > maxInternedBytes {
		return create(string(text))
	}
	cached := &t[maphash.Bytes(seed, text)%uint64(len(t))]
	if *cached != nil && has((*cached).Value, text) {
		return *cached, nil
	}
	term, err := create(string(text))
	if err == nil {
		*cached = term
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

// numberTerm refuses what OPA refuses, exponents that no computer could write out, and more than MaxDigits.
func numberTerm(text string) (*ast.Term, error) {
	if len(text) > exponentDigits && Digits(text) > MaxDigits {
		return nil, errNotJSON
	}
	if term := ast.InternedIntNumberTermFromString(text); term != nil {
		return term, nil
	}
	number, err := ast.NumberChecked(text)
	return ast.NewTerm(number), err
}

// endOfContainer returns where the object or array that begins at start ends. It looks at brackets
// and strings alone, several times faster than reading, so where the text is not JSON the answer
// means nothing: the caller compares that stretch with text that was read. ok is false if the
// container does not end.
func endOfContainer(text []byte, start int) (end int, ok bool) {
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

// endOfString returns the index after the closing quote of the string that begins at start.
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
		if escapes%2 == 0 { // each pair of them is one backslash, and leaves the quote alone
			return i + 1, true
		}
	}
}
