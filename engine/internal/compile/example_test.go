package compile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The example in doc.go.
var example = map[string]string{
	"lib.rego":    "package lib\nis_admin(u) if u.role == \"admin\"\nlimit := 10\n",
	"team.rego":   "package team\nallow if data.lib.is_admin(input.user)\n",
	"quota.rego":  "package quota\nallow if input.n < data.lib.limit\n",
	"report.rego": "package report\nall := {\"team\": data.team.allow, \"quota\": data.quota.allow}\n",
}

// with is files with others added; an empty text removes one.
func with(files map[string]string, others ...string) map[string]string {
	files = maps.Clone(files)
	for i := 0; i < len(others); i += 2 {
		if files[others[i]] = others[i+1]; others[i+1] == "" {
			delete(files, others[i])
		}
	}
	return files
}

// wavesOf compiles an edit wave by wave. A package that is compiled against stubs is marked by a star.
func wavesOf(t *testing.T, before *Policy, e Edit) (waves []string) {
	t.Helper()
	c := newChange(before, e)
	s := &recompiled{graph: c.graphs.after, packages: map[unit.Key]*compiledPackage{}, trees: map[unit.Key]*ast.TreeNode{}}
	for wave := c.changed; len(wave) > 0; wave = c.nextWave(wave, s) {
		var names []string
		alone := maps.Clone(newOrder(c, wave, s).againstStubs)
		for _, key := range wave.Sorted() {
			name := strings.TrimPrefix(key.String(), "data.")
			if alone[key] != nil {
				name += "*"
			}
			names = append(names, name)
		}
		waves = append(waves, strings.Join(names, " "))
		if err := c.compileWave(t.Context(), wave, s); err != nil {
			return append(waves, err.Error())
		}
	}
	return waves
}

func TestTheExampleOfThePackageComment(t *testing.T) {
	before := read(t, example, corpus{})
	first, err := before.build(t, nil, corpus{})
	if err != nil {
		t.Fatal(err)
	}
	text := example["lib.rego"]
	for _, of := range []struct{ name, lib, waves, nodes string }{
		{"a body", strings.Replace(text, `== "admin"`, `in {"admin", "root"}`, 1), "lib*", "data lib"},
		{"a type", strings.Replace(text, "10", `"ten"`, 1), "lib*, quota*", "data lib quota"},
		{"a rule that goes", strings.Replace(text, "limit := 10", "", 1), "lib*, quota*", "data lib quota"},
	} {
		t.Run(of.name, func(t *testing.T) {
			after := read(t, with(example, "lib.rego", of.lib), before)
			if got := strings.Join(wavesOf(t, first, after.edit(before)), ", "); got != of.waves {
				t.Errorf("the waves are %s; want %s", got, of.waves)
			}
			next, err := after.build(t, first, before)
			if err != nil {
				t.Fatal(err)
			}
			compiled := []string{"data"}
			for _, name := range []string{"lib", "quota", "report", "team"} {
				again := next.packages.Get(keyOf(name)) != first.packages.Get(keyOf(name))
				path := ast.Ref{ast.DefaultRootDocument, ast.StringTerm(name)}
				if copied := next.compiler.RuleTree.Find(path) != first.compiler.RuleTree.Find(path); copied != again {
					t.Errorf("%s: compiled again %v, its node copied %v", name, again, copied)
				}
				if again {
					compiled = append(compiled, name)
				}
			}
			if got := strings.Join(compiled, " "); got != of.nodes {
				t.Errorf("compiled again are %s; want %s", got, of.nodes)
			}
		})
	}
}

// Errors that no compiler of one package can see. Each edit adds files to the example.
func TestErrorsBetweenPackagesAreThoseOfWhole(t *testing.T) {
	calls := with(example, "caller.rego", "package caller\nx := data.lib.is_admin({})\n")
	for name, of := range map[string]struct {
		before map[string]string
		edit   []string
		want   string
	}{
		"recursion":           {example, []string{"lib.rego", "package lib\nlimit := data.report.all\nis_admin(_) := true\n"}, "recursive"},
		"a function is gone":  {calls, []string{"lib.rego", "package lib\nlimit := 10\n"}, "undefined function data.lib.is_admin"},
		"a package at a rule": {example, []string{"q.rego", "package quota.allow\nx := 1\n"}, "conflict"},
		"data at a rule":      {example, []string{"data.json", `{"quota": {"allow": true}}`}, "conflict"},
		"a rule at data":      {with(example, "data.json", `{"lib": {"max": 1}}`), []string{"lib2.rego", "package lib\nmax := 2\n"}, "conflict"},
	} {
		t.Run(name, func(t *testing.T) {
			before := read(t, of.before, corpus{})
			first, err := before.build(t, nil, corpus{})
			if err != nil {
				t.Fatal(err)
			}
			after := read(t, with(of.before, of.edit...), before)
			_, err = after.build(t, first, before)
			_, whole := CompileWhole(t.Context(), after.all(), after.data, nil)
			if err == nil || !strings.Contains(err.Error(), of.want) || lines(err) != lines(whole) {
				t.Errorf("%v\nfrom everything: %v\nwant %q", err, whole, of.want)
			}
		})
	}
}

func lines(err error) string {
	all := strings.Split(fmt.Sprint(err), "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// Invariant 4: user refers to lib, which the edit removes or adds, so one graph alone has that reference; new
// refers to user. By the other graph, user would seem settled, and new would be compiled against its old type.
func TestAPackageIsSettledIfItIsInBothGraphs(t *testing.T) {
	lib, user, use := "package lib\nx := 1\n", "package user\ny := data.lib.x\n", "package new\nz := data.user.y\n"
	for name, of := range map[string]struct{ before, after map[string]string }{
		"it loses a reference": {
			map[string]string{"lib.rego": lib, "user.rego": user}, map[string]string{"user.rego": user, "new.rego": use},
		},
		"it gains a reference": {
			map[string]string{"user.rego": user}, map[string]string{"lib.rego": lib, "user.rego": user, "new.rego": use},
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := read(t, of.before, corpus{})
			first, err := before.build(t, nil, corpus{})
			if err != nil {
				t.Fatal(err)
			}
			after := read(t, of.after, before)
			next, err := after.build(t, first, before)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := CompileWhole(t.Context(), after.all(), after.data, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, want := fmt.Sprint(next.Signature(keyOf("new"))), fmt.Sprint(whole.Signature(keyOf("new")))
			if got != want {
				t.Errorf("the signature of new is %s; from everything %s", got, want)
			}
		})
	}
}
