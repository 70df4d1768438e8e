package history

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"

	"golang.org/x/tools/txtar"
)

var fuzzLimits = limits{bytes: 1 << 20, files: 200}

func seeds(f *testing.F) (archives []*txtar.Archive) {
	f.Helper()
	names, err := filepath.Glob("testdata/trees/*.txtar")
	if err != nil || len(names) == 0 {
		f.Fatalf("no trees: %v", err)
	}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		archives = append(archives, a)
	}
	return archives
}

// FuzzUnpack holds the reader to its word for any bytes: what it takes has the revision that it
// says, and fits the limits.
func FuzzUnpack(f *testing.F) {
	for _, a := range seeds(f) {
		var u unpacked
		for _, file := range a.Files {
			u.files = append(u.files, sourceFile{rel: file.Name, bytes: file.Data})
		}
		g, err := engine.Load(context.Background(), u.tree(), nil)
		if err != nil {
			f.Fatal(err)
		}
		var packed bytes.Buffer
		if err := pack(context.Background(), &packed, g, "fuzz", Record{Seq: 3}); err != nil {
			f.Fatal(err)
		}
		f.Add(packed.Bytes(), false)
		gz, err := gzip.NewReader(bytes.NewReader(packed.Bytes()))
		if err != nil {
			f.Fatal(err)
		}
		plain, err := io.ReadAll(gz)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain, true)
	}
	f.Fuzz(func(t *testing.T, text []byte, zip bool) {
		if zip {
			text = zipped(t, text)
		}
		u, err := unpack(context.Background(), bytes.NewReader(text), fuzzLimits, withBytes)
		_, peekErr := peek(bytes.NewReader(text), fuzzLimits)
		if err != nil {
			return
		}
		if peekErr != nil {
			t.Errorf("sound, and yet its manifest: %v", peekErr)
		}
		size := 0
		for _, file := range u.files {
			size += len(file.bytes)
			if sha256.Sum256(file.bytes) != file.sum {
				t.Errorf("%s: wrong hash", file.rel)
			}
		}
		if u.revision() != u.info.Revision || int64(size) > fuzzLimits.bytes || len(u.files) > fuzzLimits.files {
			t.Errorf("%d bytes in %d files of revision %s; the manifest says %s", size, len(u.files), u.revision(), u.info.Revision)
		}
	})
}

// FuzzTakenTreesAreWhatTheEngineLoads fuzzes the names in archives whose revision is right: what
// the reader takes, the engine takes for the same generation.
func FuzzTakenTreesAreWhatTheEngineLoads(f *testing.F) {
	for _, a := range seeds(f) {
		var names []string
		for _, file := range a.Files {
			names = append(names, file.Name)
		}
		for _, nested := range []bool{false, true} {
			for _, merged := range []bool{false, true} {
				f.Add(strings.Join(names, "\n"), nested, merged)
			}
		}
	}
	f.Add("p.rego\nrego/p.rego\nrego/data-x.json", false, false)
	f.Add("p.rego\np.rego/q.rego", false, false)
	f.Add("p.rego\na/data-x.json.source\ndata-x.json.source\ndata.json", true, true)
	f.Add("p.rego\n\xff.rego\n\xff/data.json", true, false)
	f.Fuzz(func(t *testing.T, names string, nested, merged bool) {
		all := strings.Split(names, "\n")
		u, err := unpack(context.Background(), bytes.NewReader(zipped(t, archiveOf(t, all, nested, merged))), fuzzLimits, withBytes)
		if err != nil {
			return
		}
		g, err := engine.Load(context.Background(), u.tree(), nil)
		if err != nil {
			var refused *engine.Refused
			if errors.As(err, &refused) && len(refused.Diagnostics) > 0 && refused.Diagnostics[0].Code == diagnostic.CodeTooDeep {
				return
			}
			t.Fatalf("%q: the engine does not take it: %v", all, err)
		}
		if g.Revision() != u.info.Revision || g.Root() != u.info.Root {
			t.Errorf("%q: the engine makes %s in %q of it; want %s in %q", all, g.Revision(), g.Root(), u.info.Revision, u.info.Root)
		}
	})
}

// archiveOf makes a tar of files that are always good policy, whatever they are called.
func archiveOf(t *testing.T, names []string, nested, merged bool) []byte {
	contents := map[string][]byte{}
	var expected unpacked
	for i, name := range names {
		text := []byte("{}")
		rel := name
		if merged {
			rel = strings.TrimSuffix(name, sourceSuffix)
		}
		if !isData(rel) {
			text = fmt.Appendf(nil, "package fuzz_module_%d", i)
		}
		if _, twice := contents[name]; twice {
			continue
		}
		contents[name] = text
		if !merged || name != mergedName {
			expected.files = append(expected.files, sourceFile{rel: rel, sum: sha256.Sum256(text)})
		}
	}
	slices.SortFunc(expected.files, func(a, b sourceFile) int { return strings.Compare(a.rel, b.rel) })
	root := "."
	if nested {
		root = "rego"
	}
	manifest, err := json.Marshal(map[string]any{
		"revision": expected.revision(), "metadata": map[string]any{metaFormat: 1, metaRoot: root, metaMerged: merged},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := packer{ctx: context.Background()}
	var out bytes.Buffer
	p.tar = tar.NewWriter(&out)
	p.put(manifestName, manifest)
	for _, name := range names {
		if text, ok := contents[name]; ok {
			p.put(name, text)
			delete(contents, name)
		}
	}
	if p.err != nil || p.tar.Close() != nil {
		t.Skip("tar has no such name")
	}
	return out.Bytes()
}

func zipped(t *testing.T, plain []byte) []byte {
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	if _, err := gz.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
