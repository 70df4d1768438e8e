package watcher

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAFlatWatchEntersNoDirectory(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"sub/deep", "other"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "sub/b", "sub/deep/c"} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("sub", filepath.Join(root, "link")); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink("sub/b", filepath.Join(root, "file")); err != nil {
		t.Fatal(err)
	}
	found := scan(&Config{Root: root, Flat: true, Relevant: func(string) bool { return true }, MaxDirectories: 9, MaxDepth: 9}, func(string, bool) {})
	_, a := found.files["a"]
	_, file := found.files["file"]
	if len(found.dirs) != 1 || len(found.files) != 2 || !a || !file || len(found.unwatched) != 0 {
		t.Errorf("directories %v, files %v, not watched %v", found.dirs, found.files, found.unwatched)
	}
}
