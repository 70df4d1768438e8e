package builtins

import (
	"errors"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// guard returns an error for operands that the builtin must not get.
type guard func(topdown.BuiltinContext, []*ast.Term) error

// Install replaces OPA's builtins by ours. It changes a table that evaluations read without a lock, so it must
// be called before the first of them; a second call does nothing.
var Install = sync.OnceFunc(func() {
	for _, decl := range ast.Builtins {
		opas := topdown.GetBuiltin(decl.Name)
		if opas == nil || asOPA[decl.Name] {
			continue // nil: the compiler replaces it
		}
		topdown.RegisterBuiltinFunc(decl.Name, ours(decl.Name, opas))
	}
})

func ours(name string, opas topdown.BuiltinFunc) topdown.BuiltinFunc {
	if refused[name] {
		return refuse
	}
	if f, ok := replaced[name]; ok {
		return f(opas)
	}
	check, ok := guards[name]
	if !ok {
		check = small
	}
	return func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
		if err := check(bctx, operands); err != nil {
			return err
		}
		return opas(bctx, operands, iter)
	}
}

// refused would reach out of the process. The compiler refuses them as well; see dialect.UnsafeBuiltins.
var refused = map[string]bool{
	ast.HTTPSend.Name:        true,
	ast.NetLookupIPAddr.Name: true,
}

var errRefused = errors.New("a builtin must not reach out of the process")

func refuse(topdown.BuiltinContext, []*ast.Term, func(*ast.Term) error) error { return errRefused }

// replaced are implementations of ours, of which some use OPA's.
var replaced = map[string]func(opas topdown.BuiltinFunc) topdown.BuiltinFunc{
	ast.GlobMatch.Name:        func(topdown.BuiltinFunc) topdown.BuiltinFunc { return globMatch },
	ast.JSONMatchSchema.Name:  matchSchema,
	ast.JSONSchemaVerify.Name: verifySchema,
}

// guards are the builtins whose operands need another look than [small].
var guards = map[string]guard{}

// asOPA are builtins that read only the top of their operands, in linear time, and return no more than they
// were given. An operand that is a number is not converted.
var asOPA = map[string]bool{}
