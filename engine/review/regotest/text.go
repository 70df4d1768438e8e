package regotest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// Text is a value as Rego writes it. Texts are written as in JSON, whose escapes are Rego's; those of Go, which OPA's values
// have, are not.
func Text(v ast.Value) string {
	var b strings.Builder
	writeValue(&b, v)
	return b.String()
}

func writeValue(b *strings.Builder, v ast.Value) {
	switch v := v.(type) {
	case ast.String:
		b.WriteString(quoted(string(v)))
	case *ast.Array:
		writeList(b, "[", "]", v.Foreach)
	case ast.Set:
		if v.Len() == 0 {
			b.WriteString("set()")
			return
		}
		writeList(b, "{", "}", v.Foreach)
	case ast.Object:
		b.WriteString("{")
		first := true
		v.Foreach(func(key, value *ast.Term) {
			if !first {
				b.WriteString(", ")
			}
			first = false
			writeValue(b, key.Value)
			b.WriteString(": ")
			writeValue(b, value.Value)
		})
		b.WriteString("}")
	default:
		b.WriteString(v.String())
	}
}

func writeList(b *strings.Builder, begin, end string, each func(func(*ast.Term))) {
	b.WriteString(begin)
	first := true
	each(func(t *ast.Term) {
		if !first {
			b.WriteString(", ")
		}
		first = false
		writeValue(b, t.Value)
	})
	b.WriteString(end)
}

// quoted is a text in JSON, in which a line of Rego has no end.
func quoted(text string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a text can always be written
	return visible(strings.TrimSuffix(b.String(), "\n"))
}

// visible is a text of JSON in which nobody overlooks a character: none that turns the direction of what follows or has no
// width is written as itself.
func visible(text string) string {
	if strings.IndexFunc(text, hidden) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !hidden(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return !unicode.IsPrint(r) }

// reference is a path as Rego refers to it.
func reference(path engine.Path) string {
	var b strings.Builder
	b.WriteString("data")
	for _, part := range path {
		if i, ok := util.Atoi64(part); ok { // as OPA's server reads it
			b.WriteString("[" + strconv.FormatInt(i, 10) + "]")
		} else if plainName.MatchString(part) && !ast.IsKeyword(part) {
			b.WriteString("." + part)
		} else {
			b.WriteString("[" + quoted(part) + "]")
		}
	}
	return b.String()
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// hasSet reports whether a value is a set, or has one in it.
func hasSet(v ast.Value) (found bool) {
	ast.WalkTerms(ast.NewTerm(v), func(t *ast.Term) bool {
		if _, ok := t.Value.(ast.Set); ok {
			found = true
		}
		return found
	})
	return found
}

// only is the result of all calls of a builtin; nil where they have several.
func only(results ast.Object) (result ast.Value) {
	same := true
	results.Foreach(func(_, one *ast.Term) {
		if result == nil {
			result = one.Value
		}
		same = same && result.Compare(one.Value) == 0
	})
	if !same {
		return nil
	}
	return result
}
