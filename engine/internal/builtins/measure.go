package builtins

import (
	"fmt"

	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// small is the guard of a builtin that may visit all of its operands: they are not too deep, not too many
// values or bytes, and none of their numbers is too long.
func small(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	for _, o := range operands {
		switch v := o.Value.(type) {
		case ast.Boolean, ast.Null:
			continue
		case ast.String:
			if len(v) <= MaxBytes/16 { // as many operands as no builtin has
				continue
			}
		case ast.Number:
			if len(v) <= shortNumber {
				continue
			}
		}
		return measureAll(bctx.Cancel, operands)
	}
	return nil
}

func measureAll(cancel topdown.Cancel, operands []*ast.Term) error {
	m := meter{cancel: cancel}
	for _, o := range operands {
		if err := m.visit(o, 0); err != nil {
			return err
		}
	}
	return nil
}

// meter counts the values and bytes of operands.
type meter struct {
	cancel                 topdown.Cancel
	values, bytes, deepest int
}

// valuesPerLook is the number of values between two looks at the deadline.
const valuesPerLook = 1024

func (m *meter) visit(t *ast.Term, depth int) error {
	switch v := t.Value.(type) {
	case ast.Number:
		if len(v) > shortNumber {
			if err := shortEnough(string(v)); err != nil {
				return err
			}
		}
		return m.text(len(v))
	case ast.String:
		return m.text(len(v))
	case *ast.Array, ast.Object, ast.Set:
		if depth >= MaxDepth {
			return tooLarge("an operand", "levels", MaxDepth)
		}
		m.deepest = max(m.deepest, depth+1)
		return m.visitItems(v, depth+1)
	default:
		return nil
	}
}

func (m *meter) text(n int) error {
	if m.bytes += n; m.bytes > MaxBytes {
		return tooLarge("an operand", "bytes", MaxBytes)
	}
	return nil
}

func (m *meter) visitItems(v ast.Value, depth int) error {
	switch v := v.(type) {
	case *ast.Array:
		for i := range v.Len() {
			if err := m.item(v.Elem(i), depth); err != nil {
				return err
			}
		}
	case ast.Set:
		return v.Iter(func(t *ast.Term) error { return m.item(t, depth) })
	case ast.Object:
		return v.Iter(func(key, value *ast.Term) error {
			if err := m.item(key, depth); err != nil {
				return err
			}
			return m.item(value, depth)
		})
	}
	return nil
}

func (m *meter) item(t *ast.Term, depth int) error {
	if m.values++; m.values > MaxValues {
		return tooLarge("an operand", "values", MaxValues)
	}
	if m.values%valuesPerLook == 0 && m.cancel != nil && m.cancel.Cancelled() {
		return errCancelled
	}
	return m.visit(t, depth)
}

// shortNumber is a length up to which no number has too many digits, whatever its exponent.
const shortNumber = 5

// shortEnough returns an error for a number that has more than MaxDigits digits when it is written without an
// exponent: computing with it would write it so.
func shortEnough(n string) error {
	if jsonast.Digits(n) > MaxDigits {
		return tooLarge("a number", "digits", MaxDigits)
	}
	return nil
}

func tooLarge(what, unit string, limit int) error {
	return refusal(fmt.Sprintf("%s has more than %d %s", what, limit, unit))
}

func cancelled(bctx topdown.BuiltinContext) bool {
	return bctx.Cancel != nil && bctx.Cancel.Cancelled()
}

// errCancelled ends the evaluation as the evaluator's own look at the deadline does.
var errCancelled = topdown.Halt{Err: &topdown.Error{Code: topdown.CancelErr, Message: "caller cancelled query execution"}}
