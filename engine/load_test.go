package engine_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// tree is a policy directory in memory: path → content.
type tree map[string]string

func (t tree) fs() fstest.MapFS {
	m := fstest.MapFS{}
	for name, content := range t {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

func load(t *testing.T, files tree) *engine.Generation {
	t.Helper()
	g, err := engine.Load(t.Context(), files.fs(), nil)
	if err != nil {
		t.Fatalf("Load: %v\n%v", err, diagnostics(err))
	}
	return g
}

func diagnostics(err error) diagnostic.List {
	var refused *engine.Refused
	if errors.As(err, &refused) {
		return refused.Diagnostics
	}
	return nil
}

// answer is the JSON-like text of a decision, "undefined" when there is none.
func answer(t *testing.T, g *engine.Generation, path string) string {
	t.Helper()
	p, err := engine.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	result, defined, err := g.Decide(t.Context(), p, nil)
	if err != nil {
		t.Fatalf("Decide %s: %v", path, err)
	}
	if !defined {
		return "undefined"
	}
	v, err := ast.InterfaceToValue(result)
	if err != nil {
		t.Fatal(err)
	}
	return v.String()
}

func TestDataLandsUnderItsFolderAndOverlaysReplaceTopLevelKeys(t *testing.T) {
	g := load(t, tree{
		"p.rego":            "package p\nx := data.limits.cpu",
		"data.json":         `{"limits": {"cpu": 1, "disk": 2}, "kept": true}`,
		"data-sandbox.json": `{"limits": {"cpu": 9}}`,
		"data-backup.json":  `{"limits": {"cpu": 0}, "kept": false}`,
		"team/a/data.json":  `{"name": "a"}`,
		"team/b/data.yaml":  "name: b\non: yes\n",
		"team/data.json":    `{"size": 2}`,
		"team/data-no.json": `{"ignored": true}`,
	})
	for path, want := range map[string]string{
		"p/x":         "9",
		"limits":      `{"cpu": 9}`,
		"kept":        "true",
		"team/a/name": `"a"`,
		"team/b":      `{"name": "b", "on": "yes"}`,
		"team/size":   "2",
		"ignored":     "undefined",
	} {
		if got := answer(t, g, path); got != want {
			t.Errorf("data.%s is %s; want %s", path, got, want)
		}
	}
}

func TestTheRegoFolderIsUsedWhenItHasRego(t *testing.T) {
	g := load(t, tree{
		"rego/p.rego":    "package p\nx := data.v",
		"rego/data.json": `{"v": 1}`,
		"old.rego":       "package old\nx := 1",
		"data.json":      `{"v": 2}`,
	})
	if got := answer(t, g, "p/x"); got != "1" {
		t.Errorf("data.p.x is %s; want the rego folder's 1", got)
	}
	if got := answer(t, g, "old/x"); got != "undefined" {
		t.Errorf("data.old.x is %s; want the file beside the rego folder ignored", got)
	}
	if g.Root() != "rego" {
		t.Errorf("Root is %q; want rego", g.Root())
	}

	flat := load(t, tree{"p.rego": "package p\nx := data.rego.v", "rego/data.json": `{"v": 3}`})
	if got := answer(t, flat, "p/x"); got != "3" || flat.Root() != "." {
		t.Errorf("data.p.x is %s in %q; want a rego folder without .rego to be a folder like others", got, flat.Root())
	}
}

// An installation of DefenseClaw may have its modules beside the folder rego and its data in it. Other policies mean the folder.
func TestTheDataOfAnOlderInstallationIsAtTheRoot(t *testing.T) {
	const asks = "package defenseclaw.p\nx := data.v"
	older := tree{"p.rego": asks, "rego/data.json": `{"v": 1}`, "rego/a/data.json": `{"w": 2}`}
	g := load(t, older)
	if got := answer(t, g, "defenseclaw/p/x"); got != "1" {
		t.Errorf("data.v is %s; want that of rego/data.json", got)
	}
	if got := answer(t, g, "rego/a/w"); got != "2" {
		t.Errorf("data.rego.a.w is %s; want a folder below to keep its place", got)
	}
	for name, next := range map[string]struct {
		files tree
		want  string
	}{
		"an edit of it":       {tree{"p.rego": asks, "rego/data.json": `{"v": 5}`}, "5"},
		"a data file appears": {tree{"p.rego": asks, "rego/data.json": `{"v": 1}`, "data.json": `{"v": 7}`}, "7"},
		"another package":     {tree{"p.rego": "package q\nx := data.rego.v", "rego/data.json": `{"v": 1}`}, "1"},
		"modules in rego":     {tree{"rego/p.rego": asks, "rego/data.json": `{"v": 8}`}, "8"},
	} {
		g, err := engine.Load(t.Context(), next.files.fs(), g)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		path := "defenseclaw/p/x"
		if name == "another package" {
			path = "q/x"
		}
		if got := answer(t, g, path); got != next.want {
			t.Errorf("after %s it is %s; want %s", name, got, next.want)
		}
	}
}

func TestOnlyPolicyAndDataFilesCount(t *testing.T) {
	g := load(t, tree{
		"p.rego":             "package p\nx := 1",
		"p_test.rego":        "package p_test\ntest_x if data.p.x == 1",
		"p.rego~":            "broken",
		".p.rego.swp":        "broken",
		"#p.rego#":           "broken",
		"p.tmp":              "broken",
		"p.rego___jb_tmp___": "broken",
		".git/x.rego":        "broken",
		"notes.json":         "broken",
		"4913":               "",
	})
	var names []string
	for _, f := range g.Files() {
		names = append(names, f.Path)
	}
	if want := []string{"p.rego"}; !slices.Equal(names, want) {
		t.Errorf("files are %v; want %v", names, want)
	}
	if got := answer(t, g, "p_test"); got != "undefined" {
		t.Errorf("the test package answers %s", got)
	}
}

func TestTheSameBytesHaveTheSameRevision(t *testing.T) {
	files := tree{"p.rego": "package p\nx := 1", "data.json": `{"a": {"b": 1}}`}
	first := load(t, files)
	for range 50 {
		g := load(t, files)
		if g.Revision() != first.Revision() || answer(t, g, "p") != answer(t, first, "p") {
			t.Fatalf("revision %s; want %s", g.Revision(), first.Revision())
		}
	}
	if !strings.HasPrefix(first.Revision(), "sha256:") {
		t.Errorf("revision is %q; want sha256:…", first.Revision())
	}
	moved := load(t, tree{"rego/p.rego": files["p.rego"], "rego/data.json": files["data.json"]})
	if moved.Revision() != first.Revision() {
		t.Error("the revision depends on the folder that holds the policy")
	}
	for _, other := range []tree{
		{"p.rego": "package p\nx := 2", "data.json": `{"a": {"b": 1}}`},
		{"q.rego": files["p.rego"], "data.json": files["data.json"]},
		{"p.rego": files["p.rego"]},
	} {
		if load(t, other).Revision() == first.Revision() {
			t.Errorf("%v has the revision of %v", other, files)
		}
	}
}

func TestWhatTwoGenerationsHaveInCommonIsKeptOnce(t *testing.T) {
	files := tree{"p.rego": "package p\nx := 1", "q.rego": "package q\ny := 1", "data.json": `{"a": {"b": 1}}`}
	first := load(t, files)
	files["q.rego"] = "package q\ny := 2"
	second, err := engine.Load(t.Context(), files.fs(), first) // which reads everything
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range second.Files() {
		was := first.Files()[i]
		if shared := &f.Bytes[0] == &was.Bytes[0]; shared == (f.Path == "q.rego") {
			t.Errorf("%s: shared is %t", f.Path, shared)
		}
	}
	if again := load(t, files); again.Revision() != second.Revision() || second.Revision() == first.Revision() {
		t.Errorf("revision %s, then %s; anew it is %s", first.Revision(), second.Revision(), again.Revision())
	}
}

func TestUnchangedContentGivesThePreviousGeneration(t *testing.T) {
	files := tree{"p.rego": "package p\nx := 1"}
	first := load(t, files)
	again, err := engine.Load(t.Context(), files.fs(), first)
	if err != nil || again != first {
		t.Fatalf("Load gave %p, %v; want the previous %p", again, err, first)
	}
	next, err := engine.Load(t.Context(), tree{"p.rego": "package p\nx := 2", "q.rego": "package q"}.fs(), first)
	if err != nil {
		t.Fatal(err)
	}
	if next.Number() != first.Number()+1 || !slices.Equal(next.Changed(), []string{"p.rego", "q.rego"}) {
		t.Errorf("number %d, changed %v", next.Number(), next.Changed())
	}
	if answer(t, first, "p/x") != "1" || answer(t, next, "p/x") != "2" {
		t.Error("a later generation changed an earlier one")
	}
}

func TestASourceWithoutRegoIsRefused(t *testing.T) {
	for _, files := range []tree{{}, {"data.json": "{}"}, {"p_test.rego": "package p_test"}, {"README.md": "x"}} {
		_, err := engine.Load(t.Context(), files.fs(), nil)
		if !errors.Is(err, engine.ErrNoPolicy) {
			t.Errorf("%v: %v; want ErrNoPolicy", files, err)
		}
	}
}

func TestRelevantAgreesWithLoad(t *testing.T) {
	for p, want := range map[string]bool{
		"p.rego": true, "a/b/p.rego": true, "data.json": true, "a/data.yml": true, "data-x.json": true,
		"rego/data-x.json": true, "a/data-x.json": false, "p_test.rego": false, ".p.rego": false,
		".git/p.rego": false, "..data/p.rego": false, "p.rego~": false, "x.json": false, "data": false, "rego": false,
	} {
		if got := source.Relevant(p); got != want {
			t.Errorf("Relevant(%q) is %v", p, got)
		}
	}
}

func TestUnsafeBuiltinsAreRefusedAlsoBehindWith(t *testing.T) {
	for name, body := range map[string]string{
		"http.send":          `x := http.send({"method": "get", "url": "http://127.0.0.1:1"})`,
		"opa.runtime":        `x := opa.runtime()`,
		"net.lookup_ip_addr": `x := net.lookup_ip_addr("localhost")`,
		"http.send with":     `f(a) := 1` + "\n" + `x := 1 if { count([1]) == 1 with count as http.send }`,
	} {
		_, err := engine.Load(t.Context(), tree{"p.rego": "package p\n" + body}.fs(), nil)
		builtin, _, _ := strings.Cut(name, " ")
		ds := diagnostics(err)
		if len(ds) == 0 || !strings.Contains(ds.Error(), builtin) || ds[0].File != "p.rego" || ds[0].Line == 0 {
			t.Errorf("%s: %v (%v)", name, err, ds)
		}
	}
}

var _ fs.FS = (*source.Dir)(nil)
