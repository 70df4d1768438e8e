package builtins

import (
	"errors"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// refusal is the error of an operand over a limit, or of one that leads out of the process. OPA would have had an
// answer there.
type refusal string

func (r refusal) Error() string { return string(r) }

// halting lets a refusal end the evaluation. Where errors of builtins are lenient, any other error makes what
// called the builtin undefined, as in OPA; with a refusal, a caller could so switch off a rule that denies.
func halting(name string, f topdown.BuiltinFunc) topdown.BuiltinFunc {
	return func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
		err := f(bctx, operands, iter)
		if err == nil {
			return nil
		}
		if _, ended := err.(topdown.Halt); ended || !errors.As(err, new(refusal)) { //nolint:errorlint // as OPA looks at it
			return err
		}
		named, ok := err.(*topdown.Error) //nolint:errorlint // what wraps one is not named yet
		if !ok {
			named = (&topdown.Error{Code: topdown.BuiltinErr, Message: name + ": " + err.Error(), Location: bctx.Location}).Wrap(err)
		}
		return topdown.Halt{Err: named}
	}
}
