package source_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"defenseclaw/engine/source"
)

func TestTestsAreReadAsTheyWereBesideAReading(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o700), os.WriteFile(p, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	open := func() fs.FS {
		t.Helper()
		d, err := source.Open(dir, source.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
	paths := func(r *source.Reading) (all []string) {
		for _, f := range r.Files() {
			all = append(all, f.Path)
		}
		return all
	}
	put("a.rego", "package a")
	put("a_test.rego", "package a_test")
	put("sub/b_test.rego", "package b_test")
	put("sub/data.json", "{}")
	reading, err := source.Read(t.Context(), open(), source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tests, err := source.ReadTests(t.Context(), open(), source.Options{}, reading)
	if err != nil || !slices.Equal(paths(tests), []string{"a_test.rego", "sub/b_test.rego"}) || string(tests.Files()[0].Bytes) != "package a_test" {
		t.Fatalf("%v, %v", paths(tests), err)
	}

	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "a.rego"), past, past); err != nil {
		t.Fatal(err)
	}
	again, err := source.ReadTests(t.Context(), open(), source.Options{Earlier: source.Earlier{Reading: tests, Previous: tests}}, reading)
	if err != nil || !again.SameContent(tests) {
		t.Errorf("a file that was touched is the same: %v", err)
	}

	put("a_test.rego", "package a_test # changed")
	again, err = source.ReadTests(t.Context(), open(), source.Options{Earlier: source.Earlier{Reading: tests, Previous: tests}}, reading)
	if err != nil || again.SameContent(tests) || again.Files()[1] != tests.Files()[1] && !again.Files()[1].SameContent(tests.Files()[1]) {
		t.Errorf("a test that changed alone: %v", err)
	}

	put("a.rego", "package a # changed")
	if _, err := source.ReadTests(t.Context(), open(), source.Options{}, reading); !errors.Is(err, source.ErrMoved) {
		t.Errorf("%v; the policy is not what it was", err)
	}
	put("a.rego", "package a")
	put("rego/c.rego", "package c")
	put("rego/c_test.rego", "package c_test")
	if _, err := source.ReadTests(t.Context(), open(), source.Options{}, reading); !errors.Is(err, source.ErrMoved) {
		t.Errorf("%v; the policy has moved", err)
	}
}
