package engine_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/engine/internal/dialect"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A fault is one line of a body that does not compile. The rule around it has users, in its own file, in its package's
// other file and in other packages, which are sound.
var faults = []string{
	`a := input.y; a := input.z`,
	`lowerr("A") == "a"`,
	`nosuch == 1`,
	`nosuch.deep[_] == 1`,
	`count(1) == 2`,
	`upper("a", "b", "c") == "A"`,
	`1 == "a"`,
	`add(1) == "1"; {1} == {"a"}`,
	`http.send({}) == 1`,
	`input := 1; input == 1`,
	`some q; 1 + q == 2`,
	`every v in 3 { v == 1 }`,
	`own_helper(1, 2, 3) == 1`,
	`[x | x > 1] == []`,
	`any([true])`,
	`walk(1, 2, 3)`,
	`some data; data == 1`,
	`SELF(1) == 1`,
	`data.p0.f0(1, 2, 3) == 1`,
	`data.nosuch.fn(1) == 1`,
	`x := 1`,
	`input.a with nosuch as 1`,
	`1 == 1 with data.lib.add as 7`,
	`not lowerr(input.b)`,
	`{"a": z} == {"a": 1, "b": 2}`,
	`array.concat([1], {2})`,
	`object.get(input, "x")`,
	`print(undefinedvar)`,
}

// network is a policy of several packages, of two files each, whose rules use those before them: rule 0 uses nothing. body
// gives the line of a rule.
func network(packages, rules int, body func(rule int) string) tree {
	files := tree{}
	name := func(rule int) string { return fmt.Sprintf("data.p%d.f%d", rule%packages, rule) }
	for rule := range rules {
		file := fmt.Sprintf("p%d/%d.rego", rule%packages, rule/packages%2)
		if files[file] == "" {
			files[file] = fmt.Sprintf("package p%d\n\nimport data.lib\n\n", rule%packages)
		}
		line := body(rule)
		if line == "" {
			line = "true"
		}
		uses := ""
		for used := max(0, rule-3); used < rule; used++ {
			uses += fmt.Sprintf("\t%s(input.a) == input.b\n", name(used))
			if used%packages == rule%packages { // by its short name
				uses += fmt.Sprintf("\tf%d(input.a) == input.b\n\tr%d\n\tsome m%d in s%d\n\tm%d > 0\n", used, used, used, used, used)
			}
		}
		uses += "\tlib.add(1, 2) == 3\n\town_helper(1) == 1\n\tadd(input.x) == input.y\n"
		uses = strings.ReplaceAll(uses, "\town_helper", fmt.Sprintf("\town_helper_%d", rule%packages))
		line = strings.ReplaceAll(line, "SELF", name(rule))
		line = strings.ReplaceAll(line, "own_helper", fmt.Sprintf("own_helper_%d", rule%packages))
		files[file] += fmt.Sprintf("f%[1]d(x) := x.n if {\n\t%[2]s\n%[3]s}\n\nr%[1]d if f%[1]d({\"n\": 1})\n\ns%[1]d contains m if some m in f%[1]d(input)\n\n", rule, line, uses)
	}
	for p := range packages {
		files[fmt.Sprintf("p%d/0.rego", p)] += fmt.Sprintf("own_helper_%d(x) := x\n\nadd(x) := x + 1\n", p)
	}
	files["lib/lib.rego"] = "package lib\n\nadd(x, y) := x + y\n"
	return files
}

// opaErrors are the errors of OPA's own compiler, which stops after the first stage that has any.
func opaErrors(t *testing.T, files tree) []string {
	t.Helper()
	modules := map[string]*ast.Module{}
	for name, text := range files {
		module, err := ast.ParseModuleWithOpts(name, text, ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			t.Fatal(err)
		}
		modules[name] = module
	}
	compiler := dialect.NewCompiler()
	compiler.Compile(modules)
	var list []string
	for _, e := range compiler.Errors {
		if strings.HasPrefix(e.Message, "undefined ref: input.") { // OPA's own follow-up of a shadowed input
			continue
		}
		list = append(list, fmt.Sprintf("%s:%d: %s", e.Location.File, e.Location.Row, e.Message))
	}
	return list
}

// ourErrors are those of the files, after previous, which may be nil.
func ourErrors(t *testing.T, files tree, previous *engine.Generation) []string {
	t.Helper()
	_, err := engine.Load(t.Context(), files.fs(), previous)
	var list []string
	for _, d := range diagnostics(err) {
		list = append(list, fmt.Sprintf("%s:%d: %s", d.File, d.Line, d.Message))
	}
	return list
}

// Every fault alone gives the errors that an author has to mend, so all of them together give those of each, and no more: an
// error that goes away when another is mended is none. And what OPA says first is in the list.
func TestTheErrorsOfManyFaultsAreThoseOfEachAlone(t *testing.T) {
	const packages, rules = 3, 18
	previous := load(t, network(packages, rules, func(int) string { return "" }))
	for seed := range uint64(12) {
		draw := rand.New(rand.NewPCG(seed, 17)) //nolint:gosec // a test's choice
		chosen := map[int]string{}
		for range 1 + draw.IntN(6) {
			chosen[draw.IntN(rules)] = faults[draw.IntN(len(faults))]
		}
		want := map[string]bool{}
		for rule, fault := range chosen {
			alone := network(packages, rules, func(r int) string {
				if r == rule {
					return fault
				}
				return ""
			})
			for _, e := range opaErrors(t, alone) {
				want[e] = true
			}
		}
		all := network(packages, rules, func(r int) string { return chosen[r] })
		got := ourErrors(t, all, nil)
		slices.Sort(got)
		edited := ourErrors(t, all, previous)
		if slices.Sort(edited); !slices.Equal(edited, got) {
			t.Errorf("seed %d: the errors of an edit are\n  %s\nand not\n  %s", seed, strings.Join(edited, "\n  "), strings.Join(got, "\n  "))
		}
		if wanted := slices.Sorted(maps.Keys(want)); !slices.Equal(slices.Compact(slices.Clone(got)), wanted) {
			t.Errorf("seed %d, %v:\ngot\n  %s\nwant\n  %s", seed, chosen, strings.Join(got, "\n  "), strings.Join(wanted, "\n  "))
		}
		for _, e := range opaErrors(t, all) {
			if !slices.Contains(got, e) {
				t.Errorf("seed %d: OPA reports %s, and it is not among ours", seed, e)
			}
		}
	}
}
