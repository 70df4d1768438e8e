package value

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
)

const (
	// maxDepth is encoding/json's limit for containers inside each other, and package jsonast's.
	maxDepth = 10000
	// maxTextBytes keeps places in a text within 32 bits.
	maxTextBytes = math.MaxInt32
	// surelyFinite is a number of digits that no float64 is too small for.
	surelyFinite = 300
)

// Text is a JSON text that was found to be one value. It never changes, so any number of decisions may read it, at the
// same time as well: each makes its own nodes of it ([Arena.FromText]). The nodes refer to the text, their Terms do not.
type Text struct {
	text   string
	spans  []span // of the objects and arrays, in the order in which they begin
	plain  bool   // there is no backslash: all strings are as they are written
	spaces int    // bytes of spaces between values
}

// span says where an object or array of a text ends, so that it need not be read in order to find what follows it.
type span struct {
	bytes uint32 // of its text
	after uint32 // the first later span that is not inside this one
	count uint32 // of its elements, or of its pairs, where one key may be there twice
}

// Scan looks through a text without making values of it. ok is false where it is not certain that package jsonast reads
// the same value: for text that is not JSON, but also for strings that are not UTF-8 and numbers that no node holds.
// Then jsonast has the value, or the error.
func Scan(text string) (_ *Text, ok bool) {
	if len(text) > maxTextBytes {
		return nil, false
	}
	const bytesOfAContainer = 48 // in inputs of the usual kinds
	s := scanner{text: text, spans: make([]span, 0, 4+len(text)/bytesOfAContainer)}
	s.space()
	if !s.value() {
		return nil, false
	}
	if s.space(); s.pos != len(text) {
		return nil, false
	}
	return &Text{text: text, spans: s.spans, plain: strings.IndexByte(text, '\\') < 0, spaces: s.spaces}, true
}

// IsNull reports whether the text is null.
func (t *Text) IsNull() bool { return strings.Trim(t.text, " \t\r\n") == "null" }

// CompactBytes is the length that the text has without spaces between values.
func (t *Text) CompactBytes() int { return len(t.text) - t.spaces }

// String is the text.
func (t *Text) String() string { return t.text }

type scanner struct {
	text   string
	pos    int
	depth  int
	spans  []span
	spaces int
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
			s.spaces++
		default:
			return
		}
	}
}

// peek returns 0 at the end of the text: no JSON has a 0 outside of a string.
func (s *scanner) peek() byte {
	if s.pos == len(s.text) {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) value() bool {
	switch c := s.peek(); c {
	case '{', '[':
		return s.container(c)
	case '"':
		return s.str()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.number()
	}
}

func (s *scanner) literal(text string) bool {
	ok := strings.HasPrefix(s.text[s.pos:], text)
	s.pos += len(text)
	return ok
}

func (s *scanner) container(bracket byte) bool {
	if s.depth++; s.depth > maxDepth {
		return false
	}
	at, start, end, count := len(s.spans), s.pos, bracket+2, uint32(0) // the closing bracket is two behind in ASCII
	s.spans = append(s.spans, span{})
	s.pos++
	for s.space(); s.peek() != end; s.space() {
		if count > 0 {
			if s.peek() != ',' {
				return false
			}
			s.pos++
			s.space()
		}
		if bracket == '{' && !s.key() || !s.value() {
			return false
		}
		count++
	}
	s.pos++
	s.depth--
	s.spans[at] = span{uint32(s.pos - start), uint32(len(s.spans)), count} //nolint:gosec // bounded by maxTextBytes
	return true
}

func (s *scanner) key() bool {
	if s.peek() != '"' || !s.str() {
		return false
	}
	s.space()
	if s.peek() != ':' {
		return false
	}
	s.pos++
	s.space()
	return true
}

// ends are the bytes of a string that more is to be said about than that they belong to it.
var ends = func() (is [256]bool) {
	for c := range is {
		is[c] = c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf
	}
	return is
}()

func (s *scanner) str() bool {
	start, ascii, text := s.pos+1, true, s.text
	for i := start; i < len(text); i++ {
		c := text[i]
		if !ends[c] {
			continue
		}
		switch {
		case c == '"':
			s.pos = i + 1
			return ascii || utf8.ValidString(text[start:i])
		case c == '\\':
			n := escapeBytes(text[i:])
			if n == 0 {
				return false
			}
			i += n - 1
		case c < ' ':
			return false
		default:
			ascii = false
		}
	}
	return false
}

// escapeBytes is the length of the escape that a text begins with; 0: it is none.
func escapeBytes(text string) int {
	const ofCode = len(`\u0000`)
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(text) < ofCode {
			return 0
		}
		for _, c := range []byte(text[2:ofCode]) {
			if ('0' > c || c > '9') && ('a' > c|0x20 || c|0x20 > 'f') {
				return 0
			}
		}
		return ofCode
	default:
		return 0
	}
}

// number reads by JSON's grammar.
func (s *scanner) number() bool {
	start := s.pos
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return false
		}
	}
	exponent := s.peek()|0x20 == 'e'
	if exponent {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return false
		}
	}
	return !exponent && s.pos-start < surelyFinite || holds(s.text[start:s.pos])
}

// digits reports whether there was at least one.
func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.text) && s.text[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos > start
}

// holds reports whether a number can be a node, and is one to package jsonast.
func holds(number string) bool {
	if jsonast.Digits(number) > jsonast.MaxDigits {
		return false
	}
	_, err1 := ast.NumberChecked(number)
	_, err2 := strconv.ParseFloat(number, 64)
	return err1 == nil && err2 == nil
}
