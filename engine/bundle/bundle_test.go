package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/engine/bundle"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/rego"
)

// packed is a gzipped tar of files in this order.
func packed(t testing.TB, files ...[2]string) []byte {
	t.Helper()
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	w := tar.NewWriter(gz)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o600, Size: int64(len(f[1])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(t testing.TB, archive []byte) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Read(t.Context(), bytes.NewReader(archive), bundle.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func load(t testing.TB, bundles map[string]*bundle.Bundle) *engine.Generation {
	t.Helper()
	tree, err := bundle.Tree(bundles)
	if err != nil {
		t.Fatal(err)
	}
	g, err := engine.Load(t.Context(), tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// decide is the answer as JSON; empty if it is undefined.
func decide(t testing.TB, g *engine.Generation, path ...string) string {
	t.Helper()
	result, defined, err := g.Decide(t.Context(), engine.Path(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !defined {
		return ""
	}
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestABundleMeansWhatItMeansToOPA asks both for the whole of data.
func TestABundleMeansWhatItMeansToOPA(t *testing.T) {
	for name, files := range map[string][][2]string{
		"as opa build writes it": {
			{"/data.json", `{"a": {"n": 1}}`}, {"/.manifest", `{"revision": "r1", "roots": ["a", "p"]}`},
			{"/p/p.rego", "package p\n\nx := data.a.n + 1"},
		},
		"as tar writes it": {
			{"./.manifest", `{"revision": "r2"}`}, {"./p.rego", "package p\n\nx := data.a.b.n"}, {"./a/b/data.yaml", "n: 3"},
		},
		"with a folder that a policy directory would have its policy in": {
			{"rego/p.rego", "package inner\n\nx := 1"}, {"p.rego", "package outer\n\nx := 2"}, {"rego/data.json", `{"d": 1}`},
		},
		"with files that mean nothing to OPA": {
			{"p.rego", "package p\n\nx := data.a"}, {"data.json", `{"a": 1}`}, {"data-sandbox.json", `{"a": 2}`}, {"README.md", "no policy"},
		},
		"with a number that no float is": {
			{"p.rego", "package p\n\nx := data.n"}, {"data.json", `{"n": 12345678901234567890123}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			archive := packed(t, files...)
			theirs, err := opabundle.NewReader(bytes.NewReader(archive)).IncludeManifestInData(false).Read()
			if err != nil {
				t.Fatal(err)
			}
			query := rego.New(rego.Query("data"), rego.ParsedBundle("b", &theirs))
			results, err := query.Eval(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want, ok := results[0].Expressions[0].Value.(map[string]any)
			if !ok {
				t.Fatal(results)
			}
			delete(want, "system")
			g := load(t, map[string]*bundle.Bundle{"b": read(t, archive)})
			for name, v := range want {
				text, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				if got := decide(t, g, name); got != string(text) {
					t.Errorf("data.%s: %s; OPA has %s", name, got, text)
				}
			}
		})
	}
}

func TestPolicySeesTheManifest(t *testing.T) {
	b := read(t, packed(t, [2]string{".manifest", `{"revision": "7", "metadata": {"by": "ann"}}`},
		[2]string{"p.rego", "package p\n\nx := data.system.bundles.authz.manifest"}))
	g := load(t, map[string]*bundle.Bundle{"authz": b})
	if got, want := decide(t, g, "p", "x"), `{"metadata":{"by":"ann"},"revision":"7","roots":[""]}`; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

func TestSeveralBundlesAreOneDirectory(t *testing.T) {
	one := read(t, packed(t, [2]string{".manifest", `{"roots": ["a", "x/a"]}`}, [2]string{"p.rego", "package a\n\nv := data.x.a"}, [2]string{"data.json", `{"x": {"a": 1}}`}))
	two := read(t, packed(t, [2]string{".manifest", `{"roots": ["b", "x/b"]}`}, [2]string{"p.rego", "package b\n\nv := data.x"}, [2]string{"data.yaml", `{x: {b: 2}}`}))
	g := load(t, map[string]*bundle.Bundle{"s/one": one, "s/two": two})
	if got, want := decide(t, g, "b", "v")+decide(t, g, "a", "v"), `{"a":1,"b":2}1`; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	two.Roots = []string{"b", "x"}
	if _, err := bundle.Tree(map[string]*bundle.Bundle{"one": one, "two": two}); err == nil || !strings.Contains(err.Error(), "the bundles one and two overlap: both have x/a") {
		t.Error(err)
	}
}

func TestWhatIsNotTakenIsRefusedByName(t *testing.T) {
	policy := [2]string{"p.rego", "package p\n\nx := 1"}
	for name, c := range map[string]struct {
		files [][2]string
		want  string
	}{
		"WebAssembly":                 {[][2]string{policy, {"policy.wasm", "\x00asm"}}, "policy.wasm: bundles with WebAssembly are not taken"},
		"a delta":                     {[][2]string{{"patch.json", `{"data": []}`}}, "patch.json: delta bundles are not taken"},
		"Rego v0":                     {[][2]string{policy, {".manifest", `{"rego_version": 0}`}}, "rego_version is 0"},
		"a module of Rego v0":         {[][2]string{policy, {".manifest", `{"file_rego_versions": {"*.rego": 0}}`}}, "*.rego is of Rego v0"},
		"a manifest that is no JSON":  {[][2]string{policy, {".manifest", `{`}}, ".manifest: "},
		"roots that overlap":          {[][2]string{policy, {".manifest", `{"roots": ["p", "p/q"]}`}}, `the roots "p" and "p/q" overlap`},
		"a package outside the roots": {[][2]string{policy, {".manifest", `{"roots": ["q"]}`}}, `p.rego: the manifest's roots ["q"] do not permit p`},
		"data outside the roots":      {[][2]string{{".manifest", `{"roots": ["q/r"]}`}, {"data.json", `{"q": {"r": 1, "s": 2}}`}}, `data.json: the manifest's roots ["q/r"] do not permit q/s`},
		"a manifest in a folder":      {[][2]string{policy, {"a/.manifest", "{}"}}, "a/.manifest: a manifest was expected in the root"},
		"a manifest in protobuf":      {[][2]string{policy, {".manifest.pb", ""}}, ".manifest.pb: manifests in protobuf are not taken"},
		"a way out":                   {[][2]string{{"../p.rego", "package p"}}, "is not a path inside the archive"},
		"a file that is there twice":  {[][2]string{policy, {"/p.rego", "package q"}}, "is there twice"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bundle.Read(t.Context(), bytes.NewReader(packed(t, c.files...)), bundle.Limits{}, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %s", err, c.want)
			}
		})
	}
}

func TestSizesAreBoundedBeforeTheyAreAllocated(t *testing.T) {
	bomb := packed(t, [2]string{"data.json", strings.Repeat(" ", 1<<20)})
	if _, err := bundle.Read(t.Context(), bytes.NewReader(bomb), bundle.Limits{Bytes: 1 << 10}, nil); !errors.Is(err, bundle.ErrTooLarge) {
		t.Error(err)
	}
	many := packed(t, [2]string{"a.rego", ""}, [2]string{"b.rego", ""}, [2]string{"c.rego", ""})
	if _, err := bundle.Read(t.Context(), bytes.NewReader(many), bundle.Limits{Files: 2}, nil); !errors.Is(err, bundle.ErrTooLarge) {
		t.Error(err)
	}
}

func TestTheBytesThatAreVerifiedAreThoseThatLoad(t *testing.T) {
	archive := packed(t, [2]string{".signatures.json", "S"}, [2]string{".manifest", "{}"}, [2]string{"p.rego", "package p"})
	var seen []bundle.File
	b, err := bundle.Read(t.Context(), bytes.NewReader(archive), bundle.Limits{}, func(signatures []byte, files []bundle.File) error {
		seen = append(files, bundle.File{Path: "signed by " + string(signatures)})
		return nil
	})
	if err != nil || len(seen) != 3 || seen[2].Path != "signed by S" || &seen[1].Content[0] != &b.Files[0].Content[0] {
		t.Error(err, len(seen))
	}
	forged := errors.New("forged")
	_, err = bundle.Read(t.Context(), bytes.NewReader(archive), bundle.Limits{}, func([]byte, []bundle.File) error { return forged })
	if !errors.Is(err, forged) {
		t.Error(err)
	}
}

// TestTheNextVersionSharesWhatIsTheSame so that a reload reads only what is not, also where the data of two bundles become one
// file.
func TestTheNextVersionSharesWhatIsTheSame(t *testing.T) {
	version := func(revision, text string) map[string]*bundle.Bundle {
		return map[string]*bundle.Bundle{
			"one": read(t, packed(t, [2]string{".manifest", `{"revision": "` + revision + `", "roots": ["p", "c/one"]}`},
				[2]string{"p/p.rego", "package p\n\nx := " + text}, [2]string{"p/q.rego", "package p.q"}, [2]string{"c/data.json", `{"one": 1}`})),
			"two": read(t, packed(t, [2]string{".manifest", `{"roots": ["r", "c/two"]}`}, [2]string{"r/r.rego", "package r"}, [2]string{"c/data.json", `{"two": 2}`})),
		}
	}
	before, err := bundle.Tree(version("a", "1"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := bundle.TreeAfter(before, version("b", "2"))
	if err != nil {
		t.Fatal(err)
	}
	if got := after.ChangedSince(before); !slices.Equal(got, []string{"p/one.p.rego", "system/bundles/data.json"}) {
		t.Error(got)
	}
	for _, p := range []string{"r", "c/data.json", "p/one.q.rego"} {
		one, err := before.Stat(p)
		other, otherErr := after.Stat(p)
		if err != nil || otherErr != nil || one != other {
			t.Error(p, "is not shared", err, otherErr)
		}
	}
	anew, err := bundle.Tree(version("b", "2"))
	if err != nil || len(anew.ChangedSince(after)) != 0 {
		t.Error(err, anew.ChangedSince(after))
	}
}

// FuzzRead holds that whatever is read stays inside of its directory and its limits.
func FuzzRead(f *testing.F) {
	f.Add(packed(f, [2]string{".manifest", `{"roots": ["p"]}`}, [2]string{"p/data.json", `{"a": 1}`}))
	f.Add(packed(f, [2]string{"./a.rego", "package p"}, [2]string{"data.yaml", "p: 1"}))
	f.Fuzz(func(t *testing.T, archive []byte) {
		b, err := bundle.Read(context.Background(), bytes.NewReader(archive), bundle.Limits{Bytes: 1 << 20, Files: 100}, nil)
		if err != nil {
			return
		}
		if len(b.Files)+len(b.LeftOut) > 100 {
			t.Error("too many files")
		}
		checkWritten(t, archive)
		if tree, err := bundle.Tree(map[string]*bundle.Bundle{"b": b}); err == nil {
			_, _ = engine.Load(t.Context(), tree, nil)
		}
	})
}

// checkWritten holds that a bundle that was read is written so that it is read alike, whatever the order of its files.
func checkWritten(t *testing.T, archive []byte) {
	t.Helper()
	limits := bundle.Limits{Bytes: 1 << 20, Files: 100}
	var files, again []bundle.File
	var signatures, signaturesAgain []byte
	if _, err := bundle.Read(t.Context(), bytes.NewReader(archive), limits, func(s []byte, all []bundle.File) error {
		signatures, files = s, all
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var out, reversed bytes.Buffer
	if err := bundle.Write(&out, files, signatures); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(files)
	if err := bundle.Write(&reversed, files, signatures); err != nil || !bytes.Equal(out.Bytes(), reversed.Bytes()) {
		t.Fatal("the order of the files matters", err)
	}
	limits.Bytes *= 2 // other headers
	if _, err := bundle.Read(t.Context(), &out, limits, func(s []byte, all []bundle.File) error {
		signaturesAgain, again = s, all
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	byPath := func(a, b bundle.File) int { return strings.Compare(a.Path, b.Path) }
	slices.SortFunc(files, byPath)
	slices.SortFunc(again, byPath)
	if !bytes.Equal(signatures, signaturesAgain) || !slices.EqualFunc(files, again, func(a, b bundle.File) bool { return a.Path == b.Path && bytes.Equal(a.Content, b.Content) }) {
		t.Errorf("%d files were written, and %d read", len(files), len(again))
	}
}
