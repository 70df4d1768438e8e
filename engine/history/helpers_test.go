package history_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	"golang.org/x/tools/txtar"
)

// files is a policy directory in memory: path → content.
type files map[string]string

func (f files) fs() fs.FS {
	m := fstest.MapFS{}
	o := overlaid{FS: m}
	for name, content := range f {
		m[name] = &fstest.MapFile{Data: []byte(content)}
		if source.IsOverlayName(path.Base(name)) {
			o.names = append(o.names, path.Base(name))
		}
	}
	return o
}

// overlaid is a policy whose data-* files are all named as overlays.
type overlaid struct {
	fs.FS
	names []string
}

func (o overlaid) Overlays() []string { return o.names }

// trees are the policy directories of testdata/trees by name.
func trees(t testing.TB) map[string]files {
	t.Helper()
	names, err := filepath.Glob("testdata/trees/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no trees: %v", err)
	}
	all := map[string]files{}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tree := files{}
		for _, f := range archive.Files {
			tree[f.Name] = string(f.Data)
		}
		all[strings.TrimSuffix(filepath.Base(name), ".txtar")] = tree
	}
	return all
}

func load(t testing.TB, src fs.FS) *engine.Generation {
	t.Helper()
	g, err := engine.Load(context.Background(), src, nil)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return g
}

func newStore(t testing.TB, cfg history.Config) *history.Store {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(t.TempDir(), "history")
	}
	s, err := history.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func save(t testing.TB, s *history.Store, g *engine.Generation) history.Entry {
	t.Helper()
	e, err := s.Save(context.Background(), g)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func entries(t testing.TB, s *history.Store) []history.Entry {
	t.Helper()
	all, err := s.Entries()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// version is a small policy that differs for each n.
func version(t testing.TB, n int) *engine.Generation {
	t.Helper()
	return load(t, files{"p.rego": fmt.Sprintf("package p\n\nx := %d\n", n), "data.json": fmt.Sprintf(`{"n": %d}`, n)}.fs())
}

// whole is everything that a generation holds without input.
func whole(t testing.TB, g *engine.Generation) ast.Value {
	t.Helper()
	result, defined, err := g.Decide(context.Background(), nil, nil)
	if err != nil || !defined {
		t.Fatalf("decide data: defined %v, %v", defined, err)
	}
	return value(t, result)
}

func value(t testing.TB, v any) ast.Value {
	t.Helper()
	result, err := ast.InterfaceToValue(v)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// content is path and bytes of everything that a generation was made of.
func content(g *engine.Generation) files {
	all := files{}
	for _, f := range g.Files() {
		all[f.Path] = string(f.Bytes)
	}
	return all
}

// member is one file of an archive with its tar header.
type member struct {
	tar.Header
	text string
}

func unpackFile(t testing.TB, name string) []member {
	t.Helper()
	in, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	gz, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	var all []member
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, member{*h, string(text)})
	}
}

func packFile(t testing.TB, name string, all []member) {
	t.Helper()
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	gz := gzip.NewWriter(out)
	w := tar.NewWriter(gz)
	for _, m := range all {
		h := m.Header
		h.Size = int64(len(m.text))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
}

// names lists a directory, what is hidden too, without the index.
func names(t testing.TB, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range found {
		if f.Name() != "index.jsonl" {
			all = append(all, f.Name())
		}
	}
	return all
}

// corpus is a policy of n modules whose text compresses badly, so that saving it takes a while.
func corpus(n int, seed uint64) files {
	random := rand.New(rand.NewPCG(seed, 0))
	all := files{"data.json": `{"limit": 3}`}
	for i := range n {
		var b strings.Builder
		fmt.Fprintf(&b, "package corpus.p%d\n\ndefault allow := false\n\nallow if input.level < data.limit\n\n", i)
		for j := range 8 {
			fmt.Fprintf(&b, "allow if input.user == \"%016x-%d\"\n\n", random.Uint64(), j)
		}
		all[fmt.Sprintf("team%d/p%d.rego", i%100, i)] = b.String()
	}
	return all
}

// noise is text that does not compress to less than half.
func noise(n int) string {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%016x", random.Uint64())
	}
	return b.String()
}

func revisions(t testing.TB, all []history.Entry) []string {
	t.Helper()
	var found []string
	for _, e := range all {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, info.Revision)
	}
	return slices.Clip(found)
}

func write(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}

func gunzip(t testing.TB, name string) []byte {
	t.Helper()
	in, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	gz, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func regzip(t testing.TB, name string, raw []byte) {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	if _, err := gz.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(gz.Close(), os.WriteFile(name, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// checksum sets a tar header's own.
func checksum(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}
