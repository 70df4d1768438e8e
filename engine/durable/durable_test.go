package durable_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"defenseclaw/engine/durable"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAFileIsReplacedAsAWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	for _, content := range []string{"one", "two"} {
		if err := durable.WriteFile(path, ".a-", []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%q, %v; want %q", got, err, content)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("left behind: %v, %v", all, err)
	}
}

// TestWhatCannotBeReplacedStays, and nothing is left behind.
func TestWhatCannotBeReplacedStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	if err := os.MkdirAll(filepath.Join(path, "not empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, ".a-", []byte("one")); err == nil {
		t.Error("a directory was replaced by a file")
	}
	var found []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, _ fs.DirEntry, err error) error {
		found = append(found, name)
		return err
	})
	if err != nil || len(found) != 3 {
		t.Errorf("the directory holds %q, %v", found, err)
	}
	if err := durable.WriteFile(filepath.Join(dir, "none", "a"), ".a-", nil); err == nil {
		t.Error("a file was written into a directory that is not there")
	}
}
