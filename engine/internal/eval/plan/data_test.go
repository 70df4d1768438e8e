package plan

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ir"
)

func TestALocalThatIsLookedUpInItselfNeedsAllOfTheData(t *testing.T) {
	const local = ir.Local(2)
	named := namedData(&ir.Policy{
		Static: &ir.Static{Strings: []*ir.StringConst{{Value: "x"}}},
		Funcs: &ir.Funcs{Funcs: []*ir.Func{{Blocks: []*ir.Block{{Stmts: []ir.Stmt{
			&ir.AssignVarStmt{Source: ir.Operand{Value: ir.Data}, Target: local},
			&ir.DotStmt{Source: ir.Operand{Value: local}, Key: ir.Operand{Value: ir.StringIndex(0)}, Target: local},
		}}}}}},
		Plans: &ir.Plans{},
	})
	if !named.All {
		t.Error("parts of the data would be left out")
	}
}
