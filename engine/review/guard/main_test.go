package guard_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
	"go.uber.org/goleak"
)

// stuck ends the calls of test.stuck, which nothing else interrupts.
var stuck = make(chan struct{})

func TestMain(m *testing.M) {
	for name, f := range map[string]func(){"test.crash": func() { panic("a fault") }, "test.stuck": func() { <-stuck }} {
		ast.RegisterBuiltin(&ast.Builtin{Name: name, Decl: types.NewFunction(types.Args(types.A), types.A)})
		topdown.RegisterBuiltinFunc(name, func(_ topdown.BuiltinContext, args []*ast.Term, iter func(*ast.Term) error) error {
			f()
			return iter(args[0])
		})
	}
	release := sync.OnceFunc(func() { close(stuck) })
	code := m.Run()
	release()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
