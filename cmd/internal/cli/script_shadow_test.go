package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
)

// noDifference fails a script whose sidecars kept a decision that a program made otherwise than OPA's evaluator. Scripts
// make all decisions in both ways.
func noDifference(env *testscript.Env) {
	_ = filepath.WalkDir(env.WorkDir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Base(path) == "differences.jsonl" {
			text, err := os.ReadFile(path)
			env.T().Fatal("a program decided otherwise than OPA's evaluator: ", string(text), err)
		}
		return nil // a folder that cannot be read has none of ours
	})
}

// fickleVariable makes the program of a script have the builtin test.fickle: a program and OPA's evaluator differ by it.
const fickleVariable = "CLI_TEST_FICKLE"

// registerFickle registers a builtin that gives another number at each call, and does not say so.
func registerFickle() {
	fickle := &ast.Builtin{Name: "test.fickle", Decl: types.NewFunction(types.Args(types.A), types.N)}
	ast.RegisterBuiltin(fickle)
	var calls atomic.Int64
	topdown.RegisterBuiltinFunc(fickle.Name, func(_ topdown.BuiltinContext, _ []*ast.Term, iter func(*ast.Term) error) error {
		return iter(ast.IntNumberTerm(int(calls.Add(1))))
	})
}
