package jsonast

import (
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

// AppendNumber is [Append] of a number. The error is of a text that is none, which an [ast.Number] may hold.
func AppendNumber(to []byte, text string) ([]byte, error) {
	if !isNumber(text) {
		return appendByMarshal(to, ast.Number(text)) // the definition: it makes an error of it, or a 0
	}
	return append(to, text...), nil
}

// isNumber reports whether a text is a number by JSON's grammar.
func isNumber(text string) bool {
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
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

func leadingDigits(text string) (n int) {
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}

// unsafeInString are the bytes that encoding/json does not write as they are, for HTML's sake too, or that
// may be part of a rune that it does not.
var unsafeInString = func() (is [256]bool) {
	for c := range is {
		is[c] = c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&'
	}
	return is
}()

// AppendString is [Append] of a string.
func AppendString(to []byte, s string) []byte {
	to = append(to, '"')
	written := 0
	for i := 0; i < len(s); {
		if !unsafeInString[s[i]] {
			i++
			continue
		}
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
	const hex = "0123456789abcdef"
	switch c := text[0]; {
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
