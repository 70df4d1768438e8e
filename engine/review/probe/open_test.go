package probe_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine/review/probe"
)

func open(t *testing.T, policy, data string) []probe.Gap {
	t.Helper()
	g := load(t, fstest.MapFS{"p.rego": {Data: []byte(policy)}, "data.json": {Data: []byte(data)}}, nil)
	gaps, err := probe.Open(t.Context(), g, nil, probe.Options{CPU: time.Minute, MaxInput: 300, At: noon})
	if err != nil {
		t.Fatal(err)
	}
	return gaps
}

func TestAnAnswerThatAllowsForLackOfAFieldIsFound(t *testing.T) {
	for _, tc := range []struct{ name, policy, missing, hint string }{
		{"a rule that denies", "package p\n\ndeny contains \"second factor\" if {\n\tinput.tier >= 2\n\tnot input.person.name in data.known\n}\n", "input.person.name", "as a rule of its own"},
		{"a rule that allows", "package p\n\ndefault allow := false\n\nallow if {\n\tinput.tier >= 2\n\tnot input.person.name == \"mallory\"\n}\n", "input.person.name", "ask for the field first"},
	} {
		gaps := open(t, tc.policy, `{"known": ["ada"]}`)
		if len(gaps) != 1 {
			t.Errorf("%s: %+v", tc.name, gaps)
			continue
		}
		g := gaps[0]
		if g.Missing != tc.missing || g.File != "p.rego" || !strings.Contains(g.Text, "not input.person") || !strings.Contains(g.Hint, tc.hint) {
			t.Errorf("%s: %+v", tc.name, g)
		}
		if !strings.Contains(string(g.Denied), `"name"`) || strings.Contains(string(g.Allowed), `"name"`) {
			t.Errorf("%s: %s", tc.name, g.Message())
		}
	}
}

func TestWhatIsClosedWithoutAFieldIsNotReported(t *testing.T) {
	for _, tc := range []struct{ name, policy string }{
		{"a rule of its own", "package p\n\ndeny contains \"x\" if {\n\tinput.tier >= 2\n\tnot known\n}\n\nknown if input.person in data.known\n"},
		{"a flag", "package p\n\ndefault allow := false\n\nallow if not input.blocked\n"},
		{"a default for the field", "package p\n\ndeny contains \"x\" if not object.get(input, \"person\", \"\") in data.known\n"},
		{"a condition before it", "package p\n\ndefault allow := false\n\nallow if {\n\tis_string(input.person)\n\tnot input.person == \"mallory\"\n}\n"},
		{"a rule that allows what is not listed", "package p\n\ndefault allow := false\n\nallow if not input.person in data.known\n"},
	} {
		if gaps := open(t, tc.policy, `{"known": ["ada"]}`); len(gaps) > 0 {
			t.Errorf("%s: %s, %s:%d", tc.name, gaps[0].Message(), gaps[0].File, gaps[0].Row)
		}
	}
}

// TestTheDefaultPackIsClosed: what is not known to be good must not be let through for lack of a field.
func TestTheDefaultPackIsClosed(t *testing.T) {
	inputs := 100
	if *all {
		inputs = 1000
	}
	for _, p := range packs(t) {
		if !strings.HasPrefix(p.name, "default_") {
			continue
		}
		gaps, err := probe.Open(t.Context(), p.base, p.seeds, probe.Options{CPU: time.Minute, MaxInput: inputs, At: noon, MaxFound: 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range gaps {
			t.Errorf("%s: %s:%d: %s", p.name, g.File, g.Row, g.Message())
		}
	}
}

func TestSomeGapsCanBeToldFromTheText(t *testing.T) {
	for _, tc := range []struct{ rule, missing string }{
		{`deny contains "x" if not input.person in data.known`, "input.person"},
		{`deny contains "x" if { some c in input.containers; not startswith(c.image, "corp/") }`, "input.containers[_].image"},
		{`violations contains "x" if { input.tier > 1; not glob.match("a*", [], input.host.name) }`, "input.host.name"},
		{`allow if not input.role == "guest"`, "input.role"},
		{`allow if { input.role; not input.role == "guest" }`, ""},
		{`deny contains "x" if { is_string(input.person); not input.person in data.known }`, ""},
		{`deny contains "x" if not is_string(input.person)`, ""},
		{`deny contains "x" if not known`, ""},
		{`allow if not input.person in data.known`, ""},
		{`other if not input.role == "guest"`, ""},
	} {
		g := load(t, fstest.MapFS{"p.rego": {Data: []byte("package p\n\n" + tc.rule + "\n\nknown if input.person in data.known\n")}, "data.json": {Data: []byte(`{"known": []}`)}}, nil)
		hints := probe.Hints(g)
		got := ""
		if len(hints) > 0 {
			got = hints[0].Missing
		}
		if got != tc.missing {
			t.Errorf("%s: %q, want %q", tc.rule, got, tc.missing)
		}
		if got != "" && (hints[0].Row != 3 || hints[0].Text != tc.rule) {
			t.Errorf("%+v", hints[0])
		}
	}
}
