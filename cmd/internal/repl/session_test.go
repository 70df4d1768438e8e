package repl_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/cmd/internal/repl"
)

const policy = `package app

default allow := false

allow if input.role == "admin"

small(n) if n < data.limits.size
`

// newSession has a policy that a test may change.
func newSession(t testing.TB) (*repl.Session, fstest.MapFS) {
	t.Helper()
	files := fstest.MapFS{
		"app.rego":  {Data: []byte(policy)},
		"deep.rego": {Data: []byte("package app.deep\n\nother := 1\n")},
		"data.json": {Data: []byte(`{"limits": {"size": 10, "not a name": 1}, "users": ["a", "b"]}`)},
	}
	s, err := repl.New(t.Context(), repl.Config{Source: func() (fs.FS, error) { return files, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return s, files
}

func TestALineIsAQueryARuleOrACommand(t *testing.T) {
	s, _ := newSession(t)
	for _, tc := range []struct{ line, want string }{
		{"data.app.allow", "false\n"},
		{"# a comment", ""},
		{"", ""},
		{`input := {"role": "admin"}`, ""},
		{"data.app.allow", "true\n"},
		{`input == {"role": "admin"}`, "true\n"},
		{"input", "{\n  \"role\": \"admin\"\n}\n"},
		{"input := data.users", "Error: input: expected a value without references\n"},
		{"package app", ""},
		{"allow", "true\n"},
		{"import data.limits as l", ""},
		{"small(l.size - 1)", "true\n"},
		{"x := 3", "x is defined in package app\n"},
		{"x + l.size", "13\n"},
		{"x := 4", "x is defined in package app\n"},
		{"x", "4\n"},
		{"big if {\n\tx > 3\n}", "big is defined in package app\n"},
		{"big", "true\n"},
		{"show", "package app\nimport data.limits as l\nx := 4\nbig if {\n\tx > 3\n}\n"},
		{"small := 1", "rego_type_error"},
		{"x", "4\n"}, // what does not compile changes nothing
		{"unset x", "var x is unsafe"},
		{"unset big", ""},
		{"unset x", ""},
		{"unset x", "Error: no rule of this name was defined: show lists them\n"},
		{"unset input", ""},
		{"input", "undefined\n"},
		{"some u in data.users", "u\n-\n"},
		{"explain", "explanations: true\n"},
		{"allow", "app.rego:5: input.role == \"admin\""},
		{"json", ""},
		{"1 + 1", "\"expressions\""},
		{"pretty", ""},
		{"deps data.app.small", "data.limits.size"},
		{"x := := 1", "query:1:6"},
		{"http.send({})", "unsafe built-in function calls"},
		{"input nowhere.json", "nowhere.json"},
		{"package a b", "the package"},
		{"import nonsense", "the import"},
		{"help", "deps QUERY"},
		{"package", ""},
		{"print(\"hello\")", "hello\n"},
	} {
		var out strings.Builder
		if s.Line(t.Context(), tc.line, &out) {
			t.Errorf("%q ends the session", tc.line)
		}
		if got := out.String(); !strings.Contains(got, tc.want) || tc.want == "" && got != "" {
			t.Errorf("%q: %q, want %q", tc.line, got, tc.want)
		}
	}
	if !s.Line(t.Context(), " exit ", new(strings.Builder)) {
		t.Error("exit does not end the session")
	}
}

func TestAChangedPolicyAnswersAndABrokenOneDoesNot(t *testing.T) {
	s, files := newSession(t)
	say := func(line string) string {
		var out strings.Builder
		s.Line(t.Context(), line, &out)
		return out.String()
	}
	reload := func() string {
		var out strings.Builder
		s.Reload(t.Context(), &out)
		return out.String()
	}
	say("y := data.app.deep.other + 1")
	if got := reload(); got != "" {
		t.Errorf("nothing changed: %q", got)
	}
	files["deep.rego"] = &fstest.MapFile{Data: []byte("package app.deep\n\nother := 5\n")}
	if got := reload(); got != "reloaded: 2 modules, 1 data file\n" || say("y") != "6\n" {
		t.Errorf("%q %q", got, say("y"))
	}
	files["deep.rego"] = &fstest.MapFile{Data: []byte("package app.deep\n\nother := := 5\n")}
	if got := reload(); !strings.Contains(got, "does not load") || !strings.Contains(got, "deep.rego:3:") || say("y") != "6\n" {
		t.Errorf("%q %q", got, say("y"))
	}
	files["deep.rego"] = &fstest.MapFile{Data: []byte("package repl\n\ny(x) := x\n")}
	if got := reload(); !strings.Contains(got, "does not load") && !strings.Contains(got, "are gone") || say("data.repl.y(3)") != "3\n" {
		t.Errorf("%q %q", got, say("data.repl.y(3)"))
	}
}

func TestAWordIsCompletedByThePolicy(t *testing.T) {
	s, _ := newSession(t)
	for _, line := range []string{`input := {"user": {"name": "x"}, "role": 1}`, "import data.limits as l", "package app"} {
		s.Line(t.Context(), line, new(strings.Builder))
	}
	for text, want := range map[string][]string{
		"data.":            {"data.app.", "data.limits.", "data.users"},
		"data.app.":        {"data.app.allow", "data.app.deep.", "data.app.small("},
		"x := data.app.al": {"data.app.allow"},
		"data.limits.":     {"data.limits.size"},
		"l.":               {"l.size"},
		"input.":           {"input.role", "input.user."},
		"input.user.n":     {"input.user.name"},
		"1 + sma":          {"small("},
		"json.unm":         {"json.unmarshal("},
		"unse":             {"unset"},
		"x == unse":        nil,
		"data.app.allow":   nil,
		"data.nope.":       nil,
		"http.":            nil,
	} {
		got, start := s.Complete(text, len(text))
		if !slices.Equal(got, want) || start > len(text) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got, start := s.Complete("count(data.app.sm)", len("count(data.app.sm")); !slices.Equal(got, []string{"data.app.small("}) || start != 6 {
		t.Errorf("within a line: %q from %d", got, start)
	}
}

func FuzzLine(f *testing.F) {
	for _, line := range []string{"x := 1", "input := {", "package p", "import data.x as y", "unset x", "f(x) if x", "deps a/b", "data.users[_]"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.HasPrefix(strings.TrimSpace(line), "input ") || len(line) > 200 {
			t.Skip() // it opens files
		}
		s, _ := newSession(t)
		s.Line(t.Context(), line, new(strings.Builder))
		s.Complete(line, len(line))
	})
}
