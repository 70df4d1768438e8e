package source_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/source"
)

func refusedAsTooLarge(t *testing.T, src fs.FS, memory int64) bool {
	t.Helper()
	_, err := source.Read(context.Background(), src, source.Options{Limits: source.Limits{Memory: memory}})
	var wrong diagnostic.List
	if errors.As(err, &wrong) {
		return len(wrong) == 1 && wrong[0].Code == diagnostic.CodePolicyTooLarge
	}
	if err != nil {
		t.Fatal(err)
	}
	return false
}

func TestSparseFilesAreRefusedUnread(t *testing.T) {
	dir := t.TempDir()
	for i := range 12 {
		path := filepath.Join(dir, strconv.Itoa(i), "data.json")
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 500<<20); err != nil {
			t.Fatal(err)
		}
	}
	src, err := source.Open(dir, source.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if !refusedAsTooLarge(t, src, 4<<30) {
		t.Error("6 GB of files fit into 4 GiB of memory")
	}
}

// The limit counts what content becomes, which the size of its text does not say.
func TestTheLimitCountsValues(t *testing.T) {
	const size = 1 << 20
	for name, file := range map[string]struct {
		name, text string
		fits       bool // into 32 MiB
	}{
		"one text":       {"data.json", `{"a":"` + strings.Repeat("x", size) + `"}`, true},
		"empty arrays":   {"data.json", `{"a":[` + strings.Repeat("[],", size/3) + `[]]}`, false},
		"empty objects":  {"data.json", `{"a":[` + strings.Repeat("{},", size/3) + `{}]}`, false},
		"YAML of arrays": {"data.yaml", "a:\n" + strings.Repeat("- []\n", size/5), false},
		"Rego":           {"p.rego", "package p\n#" + strings.Repeat("x", size), false},
	} {
		src := fstest.MapFS{file.name: {Data: []byte(file.text)}}
		if refused := refusedAsTooLarge(t, src, 32<<20); refused == file.fits {
			t.Errorf("%s: refused %t", name, refused)
		}
	}
}

// growing is a file system whose files hold more than their stat says.
type growing struct{ fstest.MapFS }

func (g growing) Open(name string) (fs.File, error) {
	f, err := g.MapFS.Open(name)
	return grown{f}, err
}

type grown struct{ fs.File }

func (g grown) Read(p []byte) (int, error) { return copy(p, strings.Repeat("x", len(p))), nil }

func (g grown) ReadDir(n int) ([]fs.DirEntry, error) { return g.File.(fs.ReadDirFile).ReadDir(n) }

func TestAFileThatGrowsIsReadUpToTheLimit(t *testing.T) {
	if !refusedAsTooLarge(t, growing{fstest.MapFS{"data.json": {Data: []byte("{}")}}}, 1<<20) {
		t.Error("an endless file was read")
	}
}
