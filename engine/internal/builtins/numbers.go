package builtins

import (
	"math/big"
	"net"

	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// numbers is the guard of a builtin that converts operands which are numbers, and none inside of operands.
func numbers(_ topdown.BuiltinContext, operands []*ast.Term) error {
	for _, o := range operands {
		if n, ok := o.Value.(ast.Number); ok && len(n) > shortNumber {
			if err := shortEnough(string(n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// guardCompare measures collections where two are compared: shared parts are compared as often as they occur.
func guardCompare(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	switch operands[0].Value.(type) {
	case ast.String, ast.Boolean, ast.Null:
		return nil
	case ast.Number:
		return numbers(bctx, operands)
	}
	if ast.IsScalar(operands[1].Value) {
		return nil
	}
	return small(bctx, operands)
}

// guardShift bounds the digits of the result: three bits make about one.
func guardShift(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	if err := numbers(bctx, operands); err != nil {
		return err
	}
	shift, err := builtins.BigIntOperand(operands[1].Value, 2)
	if err != nil {
		return nil //nolint:nilerr // OPA's error says more
	}
	if shift.CmpAbs(big.NewInt(3*MaxDigits)) > 0 {
		return tooLarge("the result", "digits", MaxDigits)
	}
	return nil
}

// guardProduct bounds the digits of the result by those of all factors.
func guardProduct(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	if err := small(bctx, operands); err != nil {
		return err
	}
	total := 0
	each(operands[0].Value, func(t *ast.Term) {
		if n, ok := t.Value.(ast.Number); ok && n != "1" {
			total += jsonast.Digits(string(n))
		}
	})
	if total > MaxDigits {
		return tooLarge("the result", "digits", MaxDigits)
	}
	return nil
}

// guardRange bounds the items of numbers.range and numbers.range_step.
func guardRange(bctx topdown.BuiltinContext, operands []*ast.Term) error {
	if err := numbers(bctx, operands); err != nil {
		return err
	}
	var bounds []*big.Int
	for i, o := range operands[:min(3, len(operands))] {
		n, err := builtins.BigIntOperand(o.Value, i+1)
		if err != nil {
			return nil //nolint:nilerr // OPA's error says more
		}
		bounds = append(bounds, n)
	}
	items := new(big.Int).Sub(bounds[1], bounds[0])
	if len(bounds) == 3 && bounds[2].Sign() > 0 {
		items.Quo(items, bounds[2])
	}
	if items.CmpAbs(big.NewInt(MaxItems-1)) > 0 {
		return tooLarge("the range", "numbers", MaxItems)
	}
	return nil
}

// guardExpand bounds the addresses of net.cidr_expand, which is a set of strings.
func guardExpand(_ topdown.BuiltinContext, operands []*ast.Term) error {
	s, _ := operands[0].Value.(ast.String)
	_, network, err := net.ParseCIDR(string(s))
	if err != nil {
		return nil //nolint:nilerr // OPA's error says more
	}
	ones, bits := network.Mask.Size()
	if bits-ones > 20 {
		return tooLarge("the network", "addresses", MaxValues)
	}
	return nil
}

// each calls f for the items of a collection, and for the values of an object.
func each(v ast.Value, f func(*ast.Term)) {
	switch v := v.(type) {
	case *ast.Array:
		v.Foreach(f)
	case ast.Set:
		v.Foreach(f)
	case ast.Object:
		v.Foreach(func(_, value *ast.Term) { f(value) })
	}
}

// lenOf is the number of items of a collection; 1 for anything else.
func lenOf(v ast.Value) int {
	switch v := v.(type) {
	case *ast.Array:
		return v.Len()
	case ast.Set:
		return v.Len()
	case ast.Object:
		return v.Len()
	default:
		return 1
	}
}
