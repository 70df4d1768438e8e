package plan_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"defenseclaw/engine/internal/eval/plan"
	"defenseclaw/engine/internal/opacases"

	"github.com/open-policy-agent/opa/v1/ast"
)

var ofPath = regexp.MustCompile(`^(data(?:\.[a-zA-Z_][a-zA-Z0-9_]*)+) = [a-z]\w*$`)

// withoutProgram are the cases that no program decides, though topdown has an answer.
var withoutProgram = map[string]string{
	"comparisonexpr/decimals order like the numbers they denote":      "a number that float64 cannot hold",
	"strings/sprintf: float too big":                                  "a number that float64 cannot hold",
	"jsonbuiltins/unmarshal number with large exponent within limits": "a number that float64 cannot hold",
	"baseandvirtualdocs/base/virtual: conflicts":                      "data and a rule have one place",
	"data/toplevel integer":                                           "a name in the data is given by a number",
	"data/nested integer":                                             "a name in the data is given by a number",
	"data/negative case: nested integer":                              "a name in the data is given by a number",
}

func TestOPAsConformanceCasesAreDecidedAlike(t *testing.T) {
	programs, decided := 0, 0
	all, err := opacases.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range all {
		m := ofPath.FindStringSubmatch(tc.Query)
		if m == nil || tc.ExperimentalKeywords {
			continue
		}
		t.Run(strings.ReplaceAll(tc.Note, "/", "_"), func(t *testing.T) {
			for k, v := range tc.Env {
				t.Setenv(k, v)
			}
			modules := map[string]string{}
			for i, text := range tc.Modules {
				modules[fmt.Sprintf("test-%d.rego", i)] = text
			}
			var data ast.Object
			if tc.Data != nil {
				data = ast.MustInterfaceToValue(*tc.Data).(ast.Object)
			}
			c, err := newCorpus(modules, data)
			if err != nil {
				t.Skip(err) // a builtin that is refused
			}
			ref := ast.MustParseRef(m[1])
			p, err := c.program(t.Context(), ref)
			if err != nil {
				if !errors.Is(err, plan.ErrAsk) && withoutProgram[tc.Note] == "" {
					t.Error(err)
				}
				return
			}
			programs++
			var input *ast.Term
			switch {
			case tc.InputTerm != nil:
				input = ast.MustParseTerm(*tc.InputTerm)
			case tc.Input != nil:
				input = ast.NewTerm(ast.MustInterfaceToValue(*tc.Input))
			}
			if p.Varies {
				_, _, _ = p.Evaluate(call(t.Context(), input, true)) // only that it ends
				return
			}
			if c.sameAsTopdown(t, p, ref, input) {
				decided++
			}
			if _, _, err := p.Evaluate(call(t.Context(), input, false)); err != nil && tc.WantError == nil && tc.WantErrorCode == nil && withoutProgram[tc.Note] == "" {
				t.Errorf("left to topdown: %v", err)
			}
		})
	}
	t.Logf("%d programs, %d decide in both modes", programs, decided)
	if decided < 2000 && !t.Failed() {
		t.Errorf("programs decided only %d cases", decided)
	}
}
