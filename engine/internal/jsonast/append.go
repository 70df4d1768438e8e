package jsonast

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// ErrTooLong is the error of a value whose text is longer than a limit.
var ErrTooLong = errors.New("the text of the value is too long")

// Append appends a value to a text, byte for byte as [json.Marshal] writes the result of [ast.JSON].
// It fails where those fail, and makes none of the maps and slices in between. It stops with [ErrTooLong] soon
// after the whole text is longer than limit: a value with shared parts may have more text than memory.
func Append(to []byte, v ast.Value, limit int) ([]byte, error) {
	to, err := appendValue(to, v, limit)
	if err == nil && len(to) > limit {
		err = ErrTooLong
	}
	return to, err
}

func appendValue(to []byte, v ast.Value, limit int) ([]byte, error) {
	if len(to) > limit {
		return to, ErrTooLong
	}
	switch v := v.(type) {
	case ast.Null:
		return append(to, "null"...), nil
	case ast.Boolean:
		if v {
			return append(to, "true"...), nil
		}
		return append(to, "false"...), nil
	case ast.String:
		return AppendString(to, string(v)), nil
	case ast.Number:
		return AppendNumber(to, string(v))
	case *ast.Array:
		return appendAll(to, v.Len(), v.Foreach, limit)
	case ast.Set:
		return appendAll(to, v.Len(), v.Foreach, limit)
	case ast.Object:
		return appendObject(to, v, limit)
	default:
		return appendByMarshal(to, v)
	}
}

func appendAll(to []byte, n int, each func(func(*ast.Term)), limit int) (_ []byte, err error) {
	to = append(to, '[')
	each(func(t *ast.Term) {
		if err == nil {
			to, err = appendValue(to, t.Value, limit)
			to = append(to, ',')
		}
	})
	return closeWith(to, n, ']'), err
}

// appendObject leaves objects with keys that are not strings to appendByMarshal: such keys become
// strings there, and two of them may become the same one.
func appendObject(to []byte, o ast.Object, limit int) (_ []byte, err error) {
	start, strings := len(to), true
	to = append(to, '{')
	o.Foreach(func(k, v *ast.Term) { // sorted by the bytes of the keys, as json.Marshal sorts
		key, ok := k.Value.(ast.String)
		if strings = strings && ok; !strings || err != nil {
			return
		}
		to = append(AppendString(to, string(key)), ':')
		to, err = appendValue(to, v.Value, limit)
		to = append(to, ',')
	})
	if !strings {
		if Size(o, 0, limit-start) > limit-start {
			return to, ErrTooLong
		}
		return appendByMarshal(to[:start], o)
	}
	return closeWith(to, o.Len(), '}'), err
}

// closeWith replaces the comma behind the last of n members.
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
