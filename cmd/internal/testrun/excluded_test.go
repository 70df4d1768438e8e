package testrun_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/testrun"
	"defenseclaw/engine"
	"defenseclaw/policies"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/rego"
)

var indexed = map[string]string{
	"p.rego": `package p

default allow := false

allow if input.role == "admin"

allow if {
	input.size < 3
	input.role == "guest"
	input.size > 1
}

kind := "a" if input.path == ["a"]

kind := "b" if {
	glob.match("b*", [], input.name)
}

else := "c" if input.name == "c"

levels contains "high" if input.level == data.high

levels contains "low" if {
	some l in [1, 2]
	input.level == l
}

f("x", n) := n if n > 1

f("y", n) := n + 1 if {
	n > 1
}
`,
	"p_test.rego": `package p_test

test_admin if data.p.allow with input as {"role": "admin", "size": 2}

test_other if not data.p.allow with input as {"role": "other", "size": 2}

test_kind if data.p.kind == "c" with input as {"name": "c", "path": ["b"]}

test_levels if count(data.p.levels) == 0 with input as {"level": 7} with data.high as 9

test_f if data.p.f("x", 3) == 3
`,
}

// TestALineThatTheIndexExcludesIsReached compares the coverage with that of evaluations without a rule index, which evaluate
// what the index excludes.
func TestALineThatTheIndexExcludesIsReached(t *testing.T) {
	pack, err := engine.LoadSuite(t.Context(), policies.FS())
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*engine.Suite{"small": suite(t, indexed), "the default pack": pack} {
		t.Run(name, func(t *testing.T) {
			outcome, err := testrun.Run(t.Context(), s, testrun.Options{Cover: true})
			if err != nil || len(outcome.Failed()) > 0 {
				t.Fatal(err, outcome.Failed())
			}
			off, on, byIndex := coverOf(t, s, false), coverOf(t, s, true), 0
			for file := range s.Modules {
				got, want := outcome.Coverage.Files[file], off.Files[file]
				if a, b := rows(got.NotCovered), rows(want.NotCovered); !slices.Equal(a, b) {
					t.Errorf("%s: %v are not reached; without an index %v", file, a, b)
				}
				if a, b := rows(got.Covered), rows(want.Covered); !slices.Equal(a, b) {
					t.Errorf("%s: %v are reached; without an index %v", file, a, b)
				}
				if !slices.Equal(rows(got.Covered), rows(on.Files[file].Covered)) {
					byIndex++
				}
			}
			if byIndex == 0 && name == "small" {
				t.Error("the index excluded nothing: the comparison shows nothing")
			}
			if got := outcome.Coverage; got.CoveredLines != off.CoveredLines || got.NotCoveredLines != off.NotCoveredLines || got.Coverage != off.Coverage {
				t.Errorf("%d of %d, without an index %d of %d", got.CoveredLines, got.NotCoveredLines, off.CoveredLines, off.NotCoveredLines)
			}
		})
	}
}

// coverOf is the coverage of a suite by OPA's evaluator, with a rule index or without one.
func coverOf(t *testing.T, s *engine.Suite, index bool) cover.Report {
	t.Helper()
	compiler := s.NewCompiler()
	if compiler.Compile(maps.Clone(s.Modules)); compiler.Failed() {
		t.Fatal(compiler.Errors)
	}
	c := cover.New()
	for _, m := range s.Modules {
		for _, r := range m.Rules {
			if name := r.Head.Name.String(); !strings.HasPrefix(name, "test_") {
				continue
			}
			query, err := rego.New(rego.Compiler(compiler), rego.Store(s.Store), rego.ParsedQuery(ast.NewBody(ast.NewExpr(ast.NewTerm(r.Ref()))))).PrepareForEval(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := query.Eval(t.Context(), rego.EvalRuleIndexing(index), rego.EvalQueryTracer(c)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c.Report(s.Modules)
}

func rows(ranges []cover.Range) []int {
	all := map[int]bool{}
	for _, r := range ranges {
		for row := r.Start.Row; row <= r.End.Row; row++ {
			all[row] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
