package recorder_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

const branchy = `package app

level := "high" if {
	input.n > 10
} else := "middle" if {
	input.n > 5
} else := "low"

seen[input.who] := true if input.who

seen[name] := false if some name in ["x"]

allow if known(input.who)

allow if level == "low"

known("ann") := true

known("bob") := true
`

// branches are those of a policy's decisions, by input.
func branches(t *testing.T, files map[string]string) map[string]string {
	t.Helper()
	g := load(t, files)
	r := run(t, config(nil))
	for _, input := range []string{`{"n":11}`, `{"n":6}`, `{"n":1}`, `{"n":11,"who":"ann"}`, `{"n":11,"who":"bob"}`, `{"n":1,"who":"bob"}`} {
		r.decide(g, "app", input)
	}
	found := map[string]string{}
	for _, rec := range r.snapshot().Records {
		found[string(rec.Input)] = rec.Branch
	}
	return found
}

func TestABranchSurvivesAnEditElsewhereInTheFile(t *testing.T) {
	want := branches(t, map[string]string{"p.rego": branchy})
	if got := slices.Compact(slices.Sorted(maps.Values(want))); len(got) != 6 {
		t.Fatalf("%d branches, want one for each input: %v", len(got), want)
	}
	for what, files := range map[string]map[string]string{
		"lines are moved":          {"p.rego": strings.Replace(branchy, "package app\n", "# about it\npackage app\n\n# more\n", 1)},
		"a rule is added":          {"p.rego": strings.Replace(branchy, "allow if known", "deny if input.never\n\nallow if known", 1)},
		"a condition is edited":    {"p.rego": strings.Replace(branchy, "input.n > 5", "input.n > 4", 1)},
		"rules change their order": {"p.rego": strings.Replace(branchy, "known(\"bob\") := true\n", "", 1) + "other := 1 if input.never\n\nknown(\"bob\") := true\n"},
		"another file is added":    {"p.rego": branchy, "q.rego": "package app\n\nallow if input.never\n"},
	} {
		if got := branches(t, files); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	if got := branches(t, map[string]string{"p.rego": strings.Replace(branchy, "allow if known", "allow if input.who == \"ann\"\n\nallow if known", 1)}); maps.Equal(got, want) {
		t.Error("a clause more before one of the same name is another branch")
	}
}
