package jsonast_test

import (
	"errors"
	"testing"

	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
)

// doubled is small in memory, and has 2^n texts.
func doubled(v ast.Value, n int, wrap func(*ast.Term) ast.Value) ast.Value {
	for range n {
		v = wrap(ast.NewTerm(v))
	}
	return v
}

func TestATextThatIsTooLongIsNotMade(t *testing.T) {
	for name, wrap := range map[string]func(*ast.Term) ast.Value{
		"array": func(t *ast.Term) ast.Value { return ast.NewArray(t, t) },
		"object": func(t *ast.Term) ast.Value {
			return ast.NewObject(ast.Item(ast.StringTerm("a"), t), ast.Item(ast.StringTerm("b"), t))
		},
		"keys of a number": func(t *ast.Term) ast.Value {
			return ast.NewObject(ast.Item(ast.IntNumberTerm(1), t), ast.Item(ast.IntNumberTerm(2), t))
		},
		"set": func(t *ast.Term) ast.Value { return ast.NewSet(t, ast.ArrayTerm(t)) },
	} {
		const limit = 1 << 20
		v := doubled(ast.String("text"), 60, wrap)
		if text, err := jsonast.Append(nil, v, limit); !errors.Is(err, jsonast.ErrTooLong) || len(text) > limit+1000 {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
		if size := jsonast.Size(v, 0, limit); size <= limit || size > limit+1000 {
			t.Errorf("%s: the size is %d", name, size)
		}
		small := doubled(ast.String("text"), 3, wrap)
		text, err := jsonast.Append(nil, small, limit)
		if size := jsonast.Size(small, 0, limit); err != nil || size < len(text)/2 || size > 2*len(text) {
			t.Errorf("%s: the size of %s is %d; %v", name, text, size, err)
		}
		if _, err := jsonast.Append(nil, small, len(text)-1); !errors.Is(err, jsonast.ErrTooLong) {
			t.Errorf("%s: %d bytes are within %d: %v", name, len(text), len(text)-1, err)
		}
	}
}
