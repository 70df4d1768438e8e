package jsonast

import (
	"encoding/json"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Append appends a value to a text, byte for byte as [json.Marshal] writes the result of [ast.JSON].
// It fails where those fail, and makes none of the maps and slices in between.
func Append(to []byte, v ast.Value) ([]byte, error) {
	switch v := v.(type) {
	case ast.Null:
		return append(to, "null"...), nil
	case ast.Boolean:
		if v {
			return append(to, "true"...), nil
		}
		return append(to, "false"...), nil
	case ast.String:
		return appendString(to, string(v)), nil
	case ast.Number:
		if isPlainInteger(string(v)) {
			return append(to, v...), nil
		}
		return appendByMarshal(to, v)
	case *ast.Array:
		return appendAll(to, v.Len(), v.Foreach)
	case ast.Set:
		return appendAll(to, v.Len(), v.Foreach)
	case ast.Object:
		return appendObject(to, v)
	default:
		return appendByMarshal(to, v)
	}
}

func appendAll(to []byte, n int, each func(func(*ast.Term))) (_ []byte, err error) {
	to = append(to, '[')
	each(func(t *ast.Term) {
		if err == nil {
			to, err = Append(to, t.Value)
			to = append(to, ',')
		}
	})
	return closeWith(to, n, ']'), err
}

// appendObject leaves objects with keys that are not strings to appendByMarshal: such keys become
// strings there, and two of them may become the same one.
func appendObject(to []byte, o ast.Object) (_ []byte, err error) {
	start, strings := len(to), true
	to = append(to, '{')
	o.Foreach(func(k, v *ast.Term) { // sorted by the bytes of the keys, as json.Marshal sorts
		key, ok := k.Value.(ast.String)
		if strings = strings && ok; !strings || err != nil {
			return
		}
		to = append(appendString(to, string(key)), ':')
		to, err = Append(to, v.Value)
		to = append(to, ',')
	})
	if !strings {
		return appendByMarshal(to[:start], o)
	}
	return closeWith(to, o.Len(), '}'), err
}

// closed replaces the comma behind the last of n members.
func closeWith(to []byte, n int, bracket byte) []byte {
	if n > 0 {
		to = to[:len(to)-1]
	}
	return append(to, bracket)
}

// appendByMarshal is the definition of Append, for the rare values.
func appendByMarshal(to []byte, v ast.Value) ([]byte, error) {
	plain, err := ast.JSON(v)
	if err != nil {
		return to, err
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return to, fmt.Errorf("write %s: %w", ast.ValueName(v), err)
	}
	return append(to, text...), nil
}

// isPlainInteger reports whether a number is written in decimal digits alone. Others are checked by
// json.Marshal: an ast.Number may hold any text.
func isPlainInteger(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < '0' || c > '9' || c == '0' && i == 0 && len(text) > 1 {
			return false
		}
	}
	return text != ""
}

// appendString leaves to json.Marshal every string in which it escapes something, or might.
func appendString(to []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			text, _ := json.Marshal(s) //nolint:errchkjson // a string
			return append(to, text...)
		}
	}
	to = append(to, '"')
	to = append(to, s...)
	return append(to, '"')
}
