package probe_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/engine/review/probe"

	"golang.org/x/tools/txtar"
)

// pack is a policy of the corpus, with edits of it as somebody might make them.
type pack struct {
	name  string
	base  *engine.Generation
	files fstest.MapFS
	seeds []probe.Seed
	edits []change
}

// change is one edit. Those that are equal in effect have names that begin with same.
type change struct {
	name string
	text string
}

func (c change) equal() bool { return strings.HasPrefix(c.name, "same-") }

// packs reads testdata/edits. A pack without files of its own is the default pack.
func packs(t testing.TB) []pack {
	t.Helper()
	names, err := filepath.Glob("testdata/edits/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no corpus", err)
	}
	var all []pack
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p := pack{name: strings.TrimSuffix(filepath.Base(name), ".txtar"), files: fstest.MapFS{}}
		for _, f := range archive.Files {
			switch {
			case f.Name == "seeds.json":
				var seeds []struct {
					Path  string          `json:"path"`
					Input json.RawMessage `json:"input"`
				}
				if err := json.Unmarshal(f.Data, &seeds); err != nil {
					t.Fatal(name, err)
				}
				for _, s := range seeds {
					p.seeds = append(p.seeds, probe.Seed{Path: s.Path, Input: s.Input})
				}
			case strings.HasPrefix(f.Name, "edits/"):
				p.edits = append(p.edits, change{strings.TrimPrefix(f.Name, "edits/"), string(f.Data)})
			default:
				p.files[f.Name] = &fstest.MapFile{Data: f.Data}
			}
		}
		if len(p.files) == 0 {
			p.files = defaultPack(t)
		}
		p.base = load(t, p.files, nil)
		all = append(all, p)
	}
	return all
}

func defaultPack(t testing.TB) fstest.MapFS {
	t.Helper()
	pack := os.DirFS("../../../policies/rego")
	files := fstest.MapFS{}
	err := fs.WalkDir(pack, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.rego") || strings.HasSuffix(path, ".md") {
			return err
		}
		text, err := fs.ReadFile(pack, path)
		files[path] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func load(t testing.TB, files fs.FS, previous *engine.Generation) *engine.Generation {
	t.Helper()
	g, err := engine.Load(t.Context(), files, previous)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// after is the generation after an edit: the first line of the edit names a file, and lines that begin with - are replaced
// by those that begin with +.
func (p *pack) after(t testing.TB, c change) *engine.Generation {
	t.Helper()
	return load(t, p.edited(t, c), p.base)
}

func (p *pack) edited(t testing.TB, c change) fstest.MapFS {
	t.Helper()
	name, rest, _ := strings.Cut(c.text, "\n")
	var old, now []string
	for _, line := range strings.Split(rest, "\n") {
		switch {
		case strings.HasPrefix(line, "-"):
			old = append(old, line[1:])
		case strings.HasPrefix(line, "+"):
			now = append(now, line[1:])
		}
	}
	files := maps.Clone(p.files)
	path := name
	for have := range p.files {
		if filepath.Base(have) == name {
			path = have
		}
	}
	f := files[path]
	if f == nil {
		t.Fatalf("%s: no file %s", c.name, name)
	}
	text, found := strings.Join(old, "\n"), string(f.Data)
	if strings.Count(found, text) != 1 {
		t.Fatalf("%s, %s: the text to replace is there %d times", p.name, c.name, strings.Count(found, text))
	}
	files[path] = &fstest.MapFile{Data: []byte(strings.Replace(found, text, strings.Join(now, "\n"), 1))}
	return files
}

// without leaves out what was recorded, and keeps what was asked for.
func without(seeds []probe.Seed) []probe.Seed {
	var all []probe.Seed
	for _, s := range seeds {
		all = append(all, probe.Seed{Path: s.Path})
	}
	return slices.CompactFunc(all, func(a, b probe.Seed) bool { return a.Path == b.Path })
}
