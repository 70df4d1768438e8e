package history_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/rego"
	"pgregory.net/rapid"
)

func TestAnEntryGivesTheGenerationBack(t *testing.T) {
	for name, tree := range trees(t) {
		t.Run(name, func(t *testing.T) {
			g := load(t, tree.fs())
			e := save(t, newStore(t, history.Config{}), g)
			src, err := e.FS(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			again := load(t, src)
			if again.Revision() != g.Revision() || again.Root() != g.Root() {
				t.Errorf("revision %s in %q; want %s in %q", again.Revision(), again.Root(), g.Revision(), g.Root())
			}
			want := content(g)
			if got := content(again); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("files %q; want %q", got, want)
			}
			if got, want := whole(t, again), whole(t, g); got.Compare(want) != 0 {
				t.Errorf("answers %v; want %v", got, want)
			}
			var paths []string
			for p := range want {
				if strings.Contains(p, `\`) {
					return // which is a name on this system, and none to TestFS
				}
				paths = append(paths, p)
			}
			if err := fstest.TestFS(src, paths...); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOPAReadsAnEntryAsTheEngineDoes(t *testing.T) {
	for name, tree := range trees(t) {
		t.Run(name, func(t *testing.T) {
			g := load(t, tree.fs())
			sameForOPA(t, save(t, newStore(t, history.Config{}), g), g)
		})
	}
}

// fatal is what testing.TB and rapid.T have in common.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

// sameForOPA compares what OPA makes of an entry, by its bundle reader and as `opa eval -b` loads
// it, with the generation that was saved.
func sameForOPA(t fatal, e history.Entry, g *engine.Generation) {
	t.Helper()
	in, err := os.Open(e.Path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer in.Close()
	b, err := bundle.NewReader(in).Read()
	if err != nil {
		t.Fatalf("OPA's bundle reader: %v", err)
	}
	if b.Manifest.Revision != g.Revision() || len(*b.Manifest.Roots) != 1 || (*b.Manifest.Roots)[0] != "" || b.RegoVersion(ast.RegoUndefined) != ast.RegoV1 {
		t.Fatalf("manifest %v", b.Manifest)
	}
	if data, err := ast.InterfaceToValue(b.Data); err != nil || data.Compare(g.Data()) != 0 {
		t.Fatalf("OPA's data %v (%v); want %v", data, err, g.Data())
	}
	served := content(g)
	for _, m := range b.Modules {
		p := path.Join(g.Root(), m.Path)
		if served[p] != string(m.Raw) {
			t.Fatalf("OPA reads %s as %q; want %q", p, m.Raw, served[p])
		}
	}
	if modules, _ := g.Counts(); len(b.Modules) != modules {
		t.Fatalf("OPA reads %d modules; want %d", len(b.Modules), modules)
	}

	set, err := rego.New(rego.Query("data"), rego.LoadBundle(e.Path), rego.StrictBuiltinErrors(true)).Eval(context.Background())
	if err != nil || len(set) != 1 {
		t.Fatalf("evaluate the bundle: %d results, %v", len(set), err)
	}
	want, _, err := g.Decide(context.Background(), nil, nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	got, err1 := ast.InterfaceToValue(set[0].Expressions[0].Value)
	wanted, err2 := ast.InterfaceToValue(want)
	if err := errors.Join(err1, err2); err != nil || got.Compare(wanted) != 0 {
		t.Fatalf("OPA answers %v (%v); want %v", got, err, wanted)
	}
}

// Whatever the data files say and wherever they lie: if the engine takes them, then what was saved
// is the same to the engine and to OPA.
func TestOPAReadsAnyMixtureOfDataFilesAlike(t *testing.T) {
	s := newStore(t, history.Config{Keep: 1})
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		tree := randomTree(t)
		g, err := engine.Load(context.Background(), tree.fs(), nil)
		if err != nil {
			t.Skip("not a policy")
		}
		taken++
		e, err := s.Save(context.Background(), g)
		if err != nil {
			t.Fatalf("%v", err)
		}
		src, err := e.FS(context.Background())
		if err != nil {
			t.Fatalf("%v", err)
		}
		again, err := engine.Load(context.Background(), src, nil)
		if err != nil || again.Revision() != g.Revision() || again.Root() != g.Root() {
			t.Fatalf("%v: the restored generation is another one", err)
		}
		sameForOPA(t, e, g)
	})
	if taken == 0 {
		t.Error("no mixture was a policy")
	}
}

func randomTree(t *rapid.T) files {
	scalar := rapid.SampledFrom([]string{"1", "1.50", `"s"`, "null", "[1]", "{}"})
	var object func(depth int) string
	object = func(depth int) string {
		var members []string
		for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "rego", "v"}), 0, 3, rapid.ID).Draw(t, "keys") {
			v := scalar.Draw(t, "value")
			if depth > 0 && rapid.Bool().Draw(t, "deeper") {
				v = object(depth - 1)
			}
			members = append(members, fmt.Sprintf("%q: %s", key, v))
		}
		return "{" + strings.Join(members, ", ") + "}"
	}
	tree := files{}
	if rapid.Bool().Draw(t, "nested") {
		tree["rego/m.rego"] = "package m\n\nx := data.a"
	} else {
		tree["m.rego"] = "package m\n\nx := data.a"
	}
	name := rapid.Custom(func(t *rapid.T) string {
		dir := rapid.SampledFrom([]string{"", "a", "a/b", "b", "rego", "rego/a", "rego/rego"}).Draw(t, "dir")
		base := rapid.SampledFrom([]string{"data.json", "data.yaml", "data.yml", "data-a.json", "data-b.yaml", "q.rego"}).Draw(t, "base")
		return path.Join(dir, base)
	})
	for _, p := range rapid.SliceOfNDistinct(name, 0, 5, rapid.ID).Draw(t, "files") {
		if strings.HasSuffix(p, ".rego") {
			tree[p] = fmt.Sprintf("package q%d\n\nx := data.b", len(tree))
			continue
		}
		mark := ""
		if rapid.IntRange(0, 9).Draw(t, "mark") == 0 {
			mark = "\ufeff"
		}
		tree[p] = mark + object(2)
	}
	return tree
}

func TestUnpackingAnEntryGivesThePolicyFilesBack(t *testing.T) {
	for name, tree := range trees(t) {
		g := load(t, tree.fs())
		members := unpackFile(t, save(t, newStore(t, history.Config{}), g).Path)
		if members[0].Name != ".manifest" {
			t.Errorf("%s: begins with %s", name, members[0].Name)
		}
		merged := strings.Contains(members[0].text, `"merged":true`)
		if want := strings.Contains(name, "overla") || name == "byte_order_mark" || name == "values"; merged != want {
			t.Errorf("%s: merged %v; want %v", name, merged, want)
		}
		got := files{}
		for _, m := range members[1:] {
			if merged {
				if m.Name == "data.json" {
					continue
				}
				m.Name = strings.TrimSuffix(m.Name, ".source")
			}
			got[path.Join(g.Root(), m.Name)] = m.text
		}
		if want := content(g); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: unpacked %q; want %q", name, got, want)
		}
	}
}

func TestLinksAreKeptAsTheFilesTheyPointTo(t *testing.T) {
	dir := t.TempDir()
	written := files{"..1/p.rego": good, "..1/data.json": `{"v": 1}`, "team/q.rego": "package q\n\nx := data.other.v\n"}
	for name, text := range written {
		if err := errors.Join(os.MkdirAll(path.Join(dir, path.Dir(name)), 0o700), os.WriteFile(path.Join(dir, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	links := files{"..data": "..1", "p.rego": "..data/p.rego", "data.json": "..data/data.json", "again": "team", "other": "..data"}
	for name, target := range links {
		if err := os.Symlink(target, path.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	d, err := source.Open(dir, source.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	g := load(t, d)
	e := save(t, newStore(t, history.Config{}), g)
	sameForOPA(t, e, g)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	src, err := e.FS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again := load(t, src); again.Revision() != g.Revision() || whole(t, again).Compare(whole(t, g)) != 0 {
		t.Errorf("%v; want %v", whole(t, again), whole(t, g))
	}
}

func TestTheSameGenerationGivesTheSameBytes(t *testing.T) {
	for name, tree := range trees(t) {
		e := runEngine(t, engine.Config{Source: edit(tree).open})
		if _, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerStartup}); err != nil {
			t.Fatal(err)
		}
		var first string
		for i := range 3 {
			entry := save(t, newStore(t, history.Config{Version: "v1"}), e.Current())
			text, err := os.ReadFile(entry.Path)
			if err != nil {
				t.Fatal(err)
			}
			first = firstOf(first, string(text))
			if i > 0 && string(text) != first {
				t.Errorf("%s: two saves of one generation differ", name)
			}
		}
	}
}

func firstOf(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func TestAnEntryTellsWhatItIs(t *testing.T) {
	tree := trees(t)["rego_folder"]
	e := runEngine(t, engine.Config{Source: edit(tree).open})
	if _, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerStartup}); err != nil {
		t.Fatal(err)
	}
	g := e.Current()
	entry := save(t, newStore(t, history.Config{Version: "v1.2.3"}), g)
	info, err := entry.Info()
	if err != nil {
		t.Fatal(err)
	}
	want := history.Info{Revision: g.Revision(), Generation: 1, LoadedAt: g.LoadedAt().UTC().Round(0), Version: "v1.2.3", Root: "rego", Seq: 1}
	if info != want {
		t.Errorf("%+v; want %+v", info, want)
	}
	name := g.LoadedAt().UTC().Format("20060102T150405.000000Z") + "-" + g.Revision()[len("sha256:"):][:12] + ".tar.gz"
	if entry.Name != name {
		t.Errorf("called %s; want %s", entry.Name, name)
	}
	file, err := os.Stat(entry.Path)
	if err != nil || file.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", file.Mode(), err)
	}
	dir, err := os.Stat(path.Dir(entry.Path))
	if err != nil || dir.Mode().Perm() != 0o700 {
		t.Errorf("directory mode %v, %v", dir.Mode(), err)
	}
}
