package sidecar

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFilesOfOneTimeAndSizeAreToldApart: images and stores give every file the same time, and two
// certificates often have the same size.
func TestFilesOfOneTimeAndSizeAreToldApart(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, version := range []string{"one", "two"} {
		if err := os.Mkdir(path(version), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"tls.crt", "tls.key"} {
			file := filepath.Join(path(version), name)
			if err := os.WriteFile(file, []byte(version), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(file, time.Time{}, time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	swap := func(version string) {
		if err := os.Symlink(version, path("next")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path("next"), path("..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("one")
	c := &certificates{cert: filepath.Join(path("..data"), "tls.crt"), key: filepath.Join(path("..data"), "tls.key")}
	first := c.stamps()
	if !first.same(c.stamps()) {
		t.Error("unchanged files have different stamps")
	}
	swap("two")
	if first.same(c.stamps()) {
		t.Error("different files have the same stamps")
	}
	gone := c.stamps()
	if err := os.Remove(path("..data")); err != nil {
		t.Fatal(err)
	}
	if gone.same(c.stamps()) {
		t.Error("missing files have the stamps of the files before")
	}
}
