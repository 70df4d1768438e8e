package gate_test

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	ast.RegisterBuiltin(&ast.Builtin{Name: "test.crash", Decl: types.NewFunction(types.Args(types.A), types.B)})
	topdown.RegisterBuiltinFunc("test.crash", func(topdown.BuiltinContext, []*ast.Term, func(*ast.Term) error) error { panic("a fault") })
	goleak.VerifyTestMain(m)
}
