package jsonast

import (
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

// AppendNumber is [Append] of a number. The error is of a text that is none, which an [ast.Number] may hold: builtins
// make numbers of texts, and nobody checks what a caller of package ast calls one. A number is written as it was
// spelled, as encoding/json writes a json.Number.
func AppendNumber(to []byte, text string) ([]byte, error) {
	if !IsNumber(text) {
		return appendByMarshal(to, ast.Number(text)) // the definition: it makes an error of it, or a 0
	}
	return append(to, text...), nil
}

// IsNumber reports whether a text is a number by JSON's grammar, which is narrower than strconv's: no plus, no
// leading zero, a digit on both sides of the point, no names for what is no number.
func IsNumber(text string) bool {
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	// A zero stands alone before the point: 007 is what a caller may make of a text, and no JSON.
	n := leadingDigits(text)
	if n == 0 || n > 1 && text[0] == '0' {
		return false
	}
	if text = text[n:]; len(text) > 0 && text[0] == '.' {
		if n = leadingDigits(text[1:]); n == 0 {
			return false
		}
		text = text[1+n:]
	}
	if len(text) > 0 && text[0]|0x20 == 'e' {
		text = text[1:]
		if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
			text = text[1:]
		}
		n = leadingDigits(text)
		return n > 0 && n == len(text)
	}
	return text == ""
}

// leadingDigits counts the digits that a text begins with. A loop over bytes: the texts are a few of them, and most are
// looked at once for each time that they are written.
func leadingDigits(text string) (n int) {
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}

// unsafeInString are the bytes that encoding/json does not write as they are, or that may be part of a rune that it
// does not. Three of them are for HTML's sake: no answer is rendered as HTML, but an answer must not depend on which
// of the two wrote it.
var unsafeInString = func() (is [256]bool) {
	for c := range is {
		is[c] = c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&'
	}
	return is
}()

// AppendString is [Append] of a string. Most strings have nothing to escape, or a quote or two in a message, so what
// lies between is copied as a whole. encoding/json has no way to append to a text; by json.Marshal a message with one
// quote costs four allocations.
func AppendString(to []byte, s string) []byte {
	to = append(to, '"')
	written := 0
	for i := 0; i < len(s); {
		if !unsafeInString[s[i]] {
			i++
			continue
		}
		// Bytes that are no rune become U+FFFD, one for each byte. So does nothing else: U+FFFD itself is written as it is.
		size := 1
		if s[i] >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); (r != utf8.RuneError || size > 1) && r != '\u2028' && r != '\u2029' {
				i += size
				continue
			}
		}
		to = append(to, s[written:i]...)
		to = appendEscaped(to, s[i:i+size])
		i += size
		written = i
	}
	to = append(to, s[written:]...)
	return append(to, '"')
}

// appendEscaped appends what encoding/json writes for a rune that it escapes, or for a byte that is no rune.
func appendEscaped(to []byte, text string) []byte {
	// The short forms are those that JSON has but for the slash, which encoding/json leaves alone; a byte that is no rune is
	// told from the first of two by its length, since the caller hands over whole runes.
	const hex = "0123456789abcdef"
	switch c := text[0]; {
	// JavaScript took these two for the end of a line, so encoding/json escapes them.
	case len(text) > 1: // U+2028 or U+2029
		return append(to, '\\', 'u', '2', '0', '2', hex[text[2]&0xf])
	case c >= utf8.RuneSelf:
		return append(to, `\ufffd`...)
	case c == '"', c == '\\':
		return append(to, '\\', c)
	case c == '\b':
		return append(to, `\b`...)
	case c == '\f':
		return append(to, `\f`...)
	case c == '\n':
		return append(to, `\n`...)
	case c == '\r':
		return append(to, `\r`...)
	case c == '\t':
		return append(to, `\t`...)
	default:
		return append(to, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
	}
}
