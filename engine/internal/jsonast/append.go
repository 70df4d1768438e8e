package jsonast

import (
	"encoding/json"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Append writes a value as [json.Marshal] writes what [ast.JSON] makes of it, without making that.
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
		if isWhole(string(v)) {
			return append(to, v...), nil
		}
		return appendSlowly(to, v)
	case *ast.Array:
		return appendAll(to, v.Len(), v.Foreach)
	case ast.Set:
		return appendAll(to, v.Len(), v.Foreach)
	case ast.Object:
		return appendObject(to, v)
	default:
		return appendSlowly(to, v)
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
	return closed(to, n, ']'), err
}

// appendObject leaves keys that are not strings to those who make strings of them: then two may be one.
func appendObject(to []byte, o ast.Object) (_ []byte, err error) {
	start, strings := len(to), true
	to = append(to, '{')
	o.Foreach(func(k, v *ast.Term) { // in the order of the keys, which is that of their bytes
		key, ok := k.Value.(ast.String)
		if strings = strings && ok; !strings || err != nil {
			return
		}
		to = append(appendString(to, string(key)), ':')
		to, err = Append(to, v.Value)
		to = append(to, ',')
	})
	if !strings {
		return appendSlowly(to[:start], o)
	}
	return closed(to, o.Len(), '}'), err
}

// closed replaces the comma behind the last of n members.
func closed(to []byte, n int, bracket byte) []byte {
	if n > 0 {
		to = to[:len(to)-1]
	}
	return append(to, bracket)
}

func appendSlowly(to []byte, v ast.Value) ([]byte, error) {
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

// isWhole reports whether a number is one of the common kind; others may not be JSON's.
func isWhole(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < '0' || c > '9' || c == '0' && i == 0 && len(text) > 1 {
			return false
		}
	}
	return text != ""
}

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
