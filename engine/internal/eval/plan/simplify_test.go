package plan

import (
	"testing"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/store"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// counted counts statements in the simplified functions of data.p.x.
func counted(t *testing.T, module string, of func(ir.Stmt) bool) (n int) {
	t.Helper()
	m, err := dialect.Parse("p.rego", []byte("package p\n"+module))
	if err != nil {
		t.Fatal(err)
	}
	compiler := dialect.NewCompiler()
	compiler.Compile(map[string]*ast.Module{"p.rego": m})
	if compiler.Failed() {
		t.Fatal(compiler.Errors)
	}
	policy, err := planOf(t.Context(), compiler, store.New(ast.NewObject()), store.Txn{}, ast.MustParseRef("data.p.x"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := compileAll(policy, &named{})
	if err != nil {
		t.Fatal(err)
	}
	var count func(bs []*ir.Block)
	count = func(bs []*ir.Block) {
		for _, b := range bs {
			for _, stmt := range b.Stmts {
				if of(stmt) {
					n++
				}
				count(blocksIn(stmt))
			}
		}
	}
	for _, f := range policy.Funcs.Funcs {
		count(c.simplified(f.Blocks))
	}
	return n
}

func TestWhatIsWrittenOutIsMadeOnce(t *testing.T) {
	makes := func(stmt ir.Stmt) bool { return len(emptyTarget(stmt)) > 0 }
	for module, want := range map[string]int{
		`x if { some y in input; not y in {"", ".", null, 1.5} }`: 0,
		`x if { some y in [1, [2, {"a": {"b"}}]]; y == input }`:   0,
		`x := {"a": input, "b": [1]}`:                             1, // the inner one is constant
		`x := [1, {2, input.z}, {3}]`:                             2,
		`x contains y if { some y in [1, 2] }`:                    1, // the rule itself
		`x := [y | some y in [1]; y == {"k": 1}.k]`:               1, // the comprehension
		`x := 1 if { input.a in [1] } else := {"b": [input]}`:     2,
	} {
		if got := counted(t, module, makes); got != want {
			t.Errorf("%s makes %d collections, not %d", module, got, want)
		}
	}
}

func emptyTarget(stmt ir.Stmt) []ir.Local {
	switch stmt.(type) {
	case *ir.MakeArrayStmt, *ir.MakeSetStmt, *ir.MakeObjectStmt:
		return madeBy(stmt)
	default:
		return nil
	}
}

func TestCopiesAndDeadJumpsAreDropped(t *testing.T) {
	needless := func(stmt ir.Stmt) bool {
		_, copies := stmt.(*ir.AssignVarStmt)
		_, breaks := stmt.(*ir.BreakStmt)
		return copies || breaks
	}
	for _, module := range []string{
		`x if { some u in data.users; u.name == input.user; some r in u.roles; r == "admin" }`,
		`x := 1 if { some u in data.a; u == 1 } else := 2 if { some u in data.b; z := u.c; z == 1; z < 2 } else := 3`,
	} {
		if n := counted(t, module, needless); n > 0 {
			t.Errorf("%d statements of %s do nothing", n, module)
		}
	}
}
