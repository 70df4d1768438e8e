package review_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/engine/corpus"
	"defenseclaw/engine/review"

	"github.com/open-policy-agent/opa/v1/format"
)

// files is a policy directory in memory: path → content.
type files map[string]string

func (f files) fs() fstest.MapFS {
	m := fstest.MapFS{}
	for name, content := range f {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

// with is a copy with other files; an empty text removes one.
func (f files) with(texts ...string) files {
	next := maps.Clone(f)
	for i := 0; i < len(texts); i += 2 {
		if next[texts[i]] = texts[i+1]; texts[i+1] == "" {
			delete(next, texts[i])
		}
	}
	return next
}

func load(t testing.TB, f files, previous *engine.Generation) *engine.Generation {
	t.Helper()
	g, err := engine.Load(t.Context(), f.fs(), previous)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// step reviews an edit twice: with a candidate that shares what is the same, and with one that shares nothing.
func step(t testing.TB, before, after files) *review.Review {
	t.Helper()
	base := load(t, before, nil)
	r := review.Of(base, load(t, after, base))
	if apart := review.Of(base, load(t, after, nil)); fmt.Sprint(brief(apart)) != fmt.Sprint(brief(r)) {
		t.Errorf("two loads that share nothing differ by %v; want %v", brief(apart), brief(r))
	}
	return r
}

// brief is a review as lines.
func brief(r *review.Review) []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, f := range r.Files {
		say("file %s %s +%d -%d", f.Change, f.Path, f.Added, f.Removed)
	}
	for what, names := range map[string][]string{
		"package added": r.Packages.Added, "package removed": r.Packages.Removed, "package changed": r.Packages.Changed,
		"package affected": r.Packages.Affected, "builtin": r.Builtins, "entry point added": r.EntryPoints.Added, "entry point removed": r.EntryPoints.Removed,
	} {
		if len(names) > 0 {
			say("%s %s", what, strings.Join(names, " "))
		}
	}
	for _, x := range r.Rules {
		say("rule %s %s %d at %s:%d", x.Change, x.Path, x.Clause, x.File, x.Row)
	}
	for _, d := range r.Defaults {
		say("default %s %s -> %s", d.Path, d.Before, d.After)
	}
	for _, d := range r.Data {
		say("data %s %s %s -> %s, leaves %d -> %d", d.Change, d.Path, d.Before, d.After, d.Leaves.Before, d.Leaves.After)
	}
	slices.Sort(lines)
	return lines
}

var base = files{
	"lib.rego":  "package lib\n\nnames := {\"a\", \"b\"}\n\nmay(x) if x in names\n",
	"app.rego":  "package app\n\nimport data.lib\n\ndefault allow := false\n\nallow if lib.may(input.user)\n\nallow if {\n\tsome r in input.roles\n\tr == \"admin\"\n}\n\nreason := \"no\" if not allow\n",
	"top.rego":  "package top\n\nok if data.app.allow\n",
	"far.rego":  "package far\n\nlimit := data.limits.far\n",
	"data.json": `{"limits": {"far": 3, "near": [1, 2]}, "users": {"x": {"age": 3}, "y": {"age": 4}}}`,
}

func TestWhatAnEditIs(t *testing.T) {
	app := base["app.rego"]
	for name, c := range map[string]struct {
		edit []string
		want string
	}{
		"nothing":   {nil, ""},
		"a comment": {[]string{"lib.rego", "# names\n" + base["lib.rego"]}, "file changed lib.rego +1 -0"},
		"a clause changes": {
			[]string{"app.rego", strings.Replace(app, `"admin"`, `"root"`, 1)},
			"file changed app.rego +1 -1\npackage affected data.top\npackage changed data.app\nrule changed data.app.allow 2 at app.rego:9",
		},
		"a clause comes first": {
			[]string{"app.rego", strings.Replace(app, "allow if lib", "allow if input.root\n\nallow if lib", 1)},
			"file changed app.rego +2 -0\npackage affected data.top\npackage changed data.app\nrule added data.app.allow 1 at app.rego:7",
		},
		"a rule goes": {
			[]string{"app.rego", strings.Replace(app, "reason := \"no\" if not allow\n", "", 1)},
			"file changed app.rego +0 -1\npackage affected data.top\npackage changed data.app\nrule removed data.app.reason 1 at app.rego:14",
		},
		"a default changes": {
			[]string{"app.rego", strings.Replace(app, "allow := false", "allow := true", 1)},
			"default data.app.allow false -> true\nfile changed app.rego +1 -1\npackage affected data.top\npackage changed data.app",
		},
		"a default goes": {
			[]string{"app.rego", strings.Replace(app, "default allow := false\n", "", 1)},
			"default data.app.allow false -> \nfile changed app.rego +0 -1\npackage affected data.top\npackage changed data.app",
		},
		"a rule moves to another file": {
			[]string{"app.rego", strings.Replace(app, "reason := \"no\" if not allow\n", "", 1), "more.rego", "package app\n\nreason := \"no\" if not allow\n"},
			"file added more.rego +3 -0\nfile changed app.rego +0 -1\nrule moved data.app.reason 1 at more.rego:3",
		},
		"a file is renamed": {
			[]string{"far.rego", "", "further.rego", base["far.rego"]},
			"file added further.rego +3 -0\nfile removed far.rego +0 -3\nrule moved data.far.limit 1 at further.rego:3",
		},
		"a library changes": {
			[]string{"lib.rego", strings.Replace(base["lib.rego"], `"b"`, `"c"`, 1)},
			"file changed lib.rego +1 -1\npackage affected data.app data.top\npackage changed data.lib\nrule changed data.lib.names 1 at lib.rego:3",
		},
		"a package is renamed": {
			[]string{"far.rego", strings.Replace(base["far.rego"], "far", "fa", 1)},
			"file changed far.rego +1 -1\npackage added data.fa\npackage removed data.far\nrule added data.fa.limit 1 at far.rego:3\nrule removed data.far.limit 1 at far.rego:3",
		},
		"an import means something else": {
			[]string{"app.rego", strings.Replace(app, "import data.lib", "import data.other as lib", 1), "other.rego", "package other\n\nmay(_) := true\n"},
			"file added other.rego +3 -0\nfile changed app.rego +1 -1\npackage added data.other\npackage affected data.top\npackage changed data.app\n" +
				"rule added data.other.may 1 at other.rego:3\nrule changed data.app.allow 1 at app.rego:7",
		},
		"a name becomes that of a rule elsewhere in the package": {
			[]string{"app.rego", app + "\nv := input.x if { x = 1; x > 0 }\n", "more.rego", "package app\n\nx := 1\n"},
			"file added more.rego +3 -0\nfile changed app.rego +2 -0\npackage affected data.top\npackage changed data.app\nrule added data.app.v 1 at app.rego:16\nrule added data.app.x 1 at more.rego:3",
		},
		"builtins are called": {
			[]string{"far.rego", base["far.rego"] + "\ntoken := io.jwt.decode(input.t)\n\nn := count([upper(x) | some x in input.l]) if to_number(\"1\") with data.lib.names as trim_space(\" \")\n"},
			"builtin count io.jwt.decode to_number trim_space upper\nfile changed far.rego +4 -0\npackage changed data.far\nrule added data.far.n 1 at far.rego:7\nrule added data.far.token 1 at far.rego:5",
		},
		"a builtin takes the place of a function": {
			[]string{"top.rego", "package top\n\nok if data.app.allow with data.lib.may as is_string\n"},
			"builtin is_string\nfile changed top.rego +1 -1\npackage changed data.top\nrule changed data.top.ok 1 at top.rego:3",
		},
		"an entry point comes": {
			[]string{"top.rego", "package top\n\n# METADATA\n# entrypoint: true\nok if data.app.allow\n"},
			"entry point added data.top.ok\nfile changed top.rego +2 -0",
		},
		"data": {
			[]string{"data.json", `{"limits": {"far": 4, "near": [1, 2, 3]}, "users": {"y": {"age": 4}, "z": {"age": 5, "of": []}}, "new": null}`},
			"data added data.new  -> null, leaves 0 -> 1\ndata added data.users.z  -> {\"age\":5,\"of\":[]}, leaves 0 -> 2\ndata changed data.limits.far 3 -> 4, leaves 1 -> 1\n" +
				"data changed data.limits.near [1,2] -> [1,2,3], leaves 2 -> 3\ndata removed data.users.x {\"age\":3} -> , leaves 1 -> 0\nfile changed data.json +1 -1\npackage affected data.far",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(brief(step(t, base, base.with(c.edit...))), "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestEntryPointsThatGoAreNamed(t *testing.T) {
	annotated := base.with("top.rego", "# METADATA\n# entrypoint: true\npackage top\n\n# METADATA\n# entrypoint: true\nok if data.app.allow\n")
	if got := step(t, annotated, base).EntryPoints.Removed; !slices.Equal(got, []string{"data.top", "data.top.ok"}) {
		t.Errorf("gone are %v", got)
	}
}

// many has more than ten variables in a set, whose order the numbers of the compiler would change.
const many = `package many

import data.lib.names
import data.lib as l

# A comment.
f(a, b) := {a, b, c, d, e, g, h, i, j, k, m} if {
	c := a + 1; d := a + 2; e := a + 3; g := a + 4; h := a + 5; i := a + 6; j := a + 7; k := a + 8
	m := {c, d, e, g, h, i, j, k}
}

p[x] := y if {
	some x, y in input.o
	every z in y { z > x }
	not l.names[y]
}

n := 1 if input.n else := [q | some q in names; q == _any] if {
	_any = input.any
}

s contains v if { input.l[_] = v; input.l[_] == {"k": v} }
`

// renamed means the same as many.
const renamed = `# METADATA
# title: the same
package many

import data.lib as library

first := second if { some second in []; second == 1 }

f(alpha, beta) := {alpha, beta, z1, z2, z3, z4, z5, z6, z7, z8, all} if {
	z1 := alpha + 1
	z2 := alpha + 2
	z3 := alpha + 3
	z4 := alpha + 4
	z5 := alpha + 5
	z6 := alpha + 6
	z7 := alpha + 7
	z8 := alpha + 8 # the last
	all := {z1, z2, z3, z4, z5, z6, z7, z8}
}

p[key] := value if {
	some key, value in input.o
	every one in value { one > key }
	not data.lib.names[value]
}

n := 1 if {
	input.n
} else := [ name |
	some name in library.names
	name == it
] if {
	it = input.any
}

s contains w if {
	input.l[_] = w; input.l[_] == {"k": w}
}
`

func TestNamesCommentsAndFormatAreNoChange(t *testing.T) {
	r := step(t, base.with("many.rego", many), base.with("many.rego", renamed))
	if len(r.Rules) != 1 || r.Rules[0].Path != "data.many.first" || len(r.Defaults) > 0 {
		t.Errorf("%v; want one rule that is new", brief(r))
	}
	for path, text := range corpus.Tenants(20) {
		if !strings.HasSuffix(path, ".rego") {
			continue
		}
		formatted, err := format.Source(path, []byte(text+"\n\n\n# end\n"))
		if err != nil {
			t.Fatal(err)
		}
		all := files(corpus.Tenants(20))
		if r := step(t, all, all.with(path, "# head\n"+string(formatted))); len(r.Rules)+len(r.Packages.Changed)+len(r.Packages.Affected) > 0 {
			t.Errorf("%s: %v", path, brief(r))
		}
	}
}

func TestEveryMeaningIsAChange(t *testing.T) {
	for _, edit := range [][2]string{
		{"a + 8", "a + 9"}, {"z > x", "z >= x"}, {"z > x", "x > z"}, {"every z in y", "every z in x"}, {"some x, y in", "some y, x in"},
		{"not l.names[y]", "l.names[y]"}, {"== {\"k\": v}", "== {\"j\": v}"}, {"s contains v", "s[v]"}, {"q == _any", "q != _any"}, {"else :=", "else := 1 if false\nelse :="},
		{"f(a, b)", "f(b, a)"}, {"{a, b, c,", "{a, a, c,"}, {"not l.names[y]", "not l.names[y] with input.a as x"},
	} {
		after := strings.Replace(many, edit[0], edit[1], 1)
		if after == many {
			t.Fatalf("%q is not in the text", edit[0])
		}
		if r := step(t, base.with("many.rego", many), base.with("many.rego", after)); len(r.Packages.Changed) != 1 || len(r.Rules) == 0 {
			t.Errorf("%q for %q: %v", edit[1], edit[0], brief(r))
		}
	}
}

func TestTheFirstGenerationAddsAll(t *testing.T) {
	g := load(t, base, nil)
	r := review.Of(nil, g)
	if r.Base != nil || r.Same() || len(r.Packages.Added) != 4 || len(r.Files) != 5 || r.DataSize != (review.Size{After: 5}) || len(r.Data) != 2 {
		t.Errorf("%+v", r)
	}
	if r := review.Of(g, g); !r.Same() || len(brief(r)) > 0 || r.DataSize != (review.Size{Before: 5, After: 5}) {
		t.Errorf("%+v", r)
	}
}

func TestLongValuesAreCountedAndNotShown(t *testing.T) {
	list := func(n int, more string) string {
		return `{"l": [` + strings.Repeat(`"some name",`, n) + more + `"last"]}`
	}
	r := step(t, base.with("data.json", list(5000, "")), base.with("data.json", list(5000, `"evil",`)))
	if len(r.Data) != 1 || r.Data[0].Before != nil || r.Data[0].Leaves != (review.Size{Before: 5001, After: 5002}) {
		t.Fatalf("%+v", r.Data)
	}
	if e := r.Data[0].Elements; e == nil || len(e.Removed) > 0 || len(e.Added) != 1 || string(e.Added[0]) != `"evil"` {
		t.Errorf("elements %s", r.Data[0].Elements)
	}
}

func TestTestsAreComparedWhereBothSidesHaveThem(t *testing.T) {
	suite := func(f files) *engine.Suite {
		s, err := engine.LoadSuite(t.Context(), f.fs())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := base.with("app_test.rego", "package app_test\n\ntest_a if data.app.reason\n\nhelper := 1\n\ntest_b if helper\n")
	after := base.with("app_test.rego", "package app_test\n\ntest_a if true\n\ntodo_test_c if false\n")
	r := step(t, before, after)
	if r.Tests != nil || !slices.Equal(r.Incomplete, []string{"tests"}) {
		t.Errorf("%+v; want it said that tests were not compared", r)
	}
	r.WithTests(suite(before), suite(after))
	if !slices.Equal(r.Tests.Removed, []string{"data.app_test.test_b"}) || !slices.Equal(r.Tests.Added, []string{"data.app_test.todo_test_c"}) || len(r.Incomplete) > 0 {
		t.Errorf("%+v", r.Tests)
	}
}

func TestTheTextDiffIsUnified(t *testing.T) {
	before := load(t, base, nil)
	got := review.TextOf(before, load(t, base.with("far.rego", "", "top.rego", "package top\n\nok if data.app.reason\n"), before))
	for _, want := range []string{"--- a/far.rego\n+++ /dev/null\n", "-limit := data.limits.far\n", "--- a/top.rego\n+++ b/top.rego\n", "+ok if data.app.reason\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestADigestIsOfItsParts(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range []string{review.Digest("a", "b", ""), review.Digest("b", "a", ""), review.Digest("ab", "", ""), review.Digest("a", "b", "c"), review.Digest(`a","b`, "", "")} {
		if seen[d] || !strings.HasPrefix(d, "sha256:") {
			t.Errorf("%s twice, or no digest", d)
		}
		seen[d] = true
	}
}

func BenchmarkLeafEdit(b *testing.B) {
	all := files(corpus.Tenants(1000))
	before := load(b, all, nil)
	path := corpus.TenantPath(500)
	after := load(b, all.with(path, strings.Replace(all[path], "package", "# more\npackage", 1)+"\nmore := 1\n"), before)
	b.ReportAllocs()
	for b.Loop() {
		if r := review.Of(before, after); len(r.Packages.Changed) != 1 {
			b.Fatal(brief(r))
		}
	}
}

func BenchmarkLibraryEdit(b *testing.B) {
	all := files(corpus.Tenants(1000))
	before := load(b, all, nil)
	after := load(b, all.with(corpus.LibraryPath(3), corpus.Library(3, 1)), before)
	b.ReportAllocs()
	for b.Loop() {
		review.Of(before, after)
	}
}
