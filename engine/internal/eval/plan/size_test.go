package plan_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"defenseclaw/engine/internal/eval/plan"

	"github.com/open-policy-agent/opa/v1/ast"
)

// hostile are policies of which OPA's planner makes more than memory holds, or by which it overflows its stack. Here they are of
// a size that a test survives which finds no bound.
var hostile = map[string]func() []string{
	"what follows a reference is planned for each rule": func() []string {
		lib := "package lib\n"
		for i := range 20 {
			lib += fmt.Sprintf("r%d := %[1]d\n", i)
		}
		return []string{lib, "package p\nx if { data.lib[a]; data.lib[b]; data.lib[c]; data.lib[d]; a != b; c != d }\n"}
	},
	"in a comprehension": func() []string {
		lib := "package lib\n"
		for i := range 20 {
			lib += fmt.Sprintf("r%d := %[1]d\n", i)
		}
		return []string{lib, "package p\nx := [1 | data.lib[a]; data.lib[b]; data.lib[c]; data.lib[d]; a != b; c != d]\n"}
	},
	"by packages": func() []string {
		all := []string{"package p\nx if { data.lib[a][b]; data.lib[c][d]; data.lib[e][f]; a != c; e != a; b != d; b != f }\n"}
		for i := range 8 {
			all = append(all, fmt.Sprintf("package lib.k%d\nr0 := 1\nr1 := 1\nr2 := 1\nr3 := 1\nr4 := 1\nr5 := 1\n", i))
		}
		return all
	},
	"a rule is planned again below each with": func() []string {
		text := "package p\nf(x) := x\nr0 := f(1)\n"
		for i := range 14 {
			text += fmt.Sprintf("r%d if { r%d with f as 1; r%[2]d with f as 2 }\n", i+1, i)
		}
		return []string{text + "x := r14\n"}
	},
	"below a with that replaces a rule": func() []string {
		text := "package p\nf := 1\nr0 := f\n"
		for i := range 14 {
			text += fmt.Sprintf("r%d if { r%d with data.p.f as 1; r%[2]d with data.p.f as 2 }\n", i+1, i)
		}
		return []string{text + "x := r14\n"}
	},
	"a constant of many elements": func() []string {
		return []string{"package p\nx := [" + strings.Repeat("1, ", 120_000) + "1]\n"}
	},
	"a constant set": func() []string {
		var b strings.Builder
		for i := range 120_000 {
			fmt.Fprintf(&b, "%d, ", i)
		}
		return []string{"package p\nx if input.a in {" + b.String() + "1}\n"}
	},
}

func TestAPlanThatWouldBeTooLargeIsNotMade(t *testing.T) {
	for name, policy := range hostile {
		c := mustCorpus(t, "", policy()...)
		if _, err := c.program(t.Context(), ast.MustParseRef("data.p.x")); !errors.Is(err, plan.ErrAsk) || !strings.Contains(err.Error(), "too large") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
