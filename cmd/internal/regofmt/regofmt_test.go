package regofmt_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/regofmt"
)

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func walk(t *testing.T, dir string) map[string]regofmt.File {
	t.Helper()
	files := map[string]regofmt.File{}
	err := regofmt.Walk([]string{dir}, func(f regofmt.File) error {
		files[filepath.Base(f.Path)] = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestOnlyRegoFilesOutsideOfHiddenFoldersAreFormatted(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "good.rego"), "package p\n\nx := 1\n", 0o600)
	write(t, filepath.Join(dir, "sub", "wide.rego"), "package p\nx  :=  1\n", 0o640)
	write(t, filepath.Join(dir, "broken.rego"), "package p\n\nx := {\n", 0o600)
	write(t, filepath.Join(dir, ".git", "hidden.rego"), "package p\nx  :=  1\n", 0o600)
	write(t, filepath.Join(dir, "data.json"), "{}", 0o600)
	files := walk(t, dir)
	if len(files) != 3 || files["good.rego"].Changed() || files["broken.rego"].Changed() || !files["wide.rego"].Changed() {
		t.Fatalf("%+v", files)
	}
	if problems := files["broken.rego"].Problems; len(problems) == 0 || problems[0].Line == 0 || problems[0].Text == "" {
		t.Errorf("the problems of the broken file: %+v", problems)
	}
	wide := files["wide.rego"]
	if diff := wide.Diff(); !strings.Contains(diff, "-x  :=  1\n") || !strings.Contains(diff, "+x := 1\n") {
		t.Errorf("the diff is\n%s", diff)
	}
	if err := wide.Write(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(wide.Path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode of the written file: %v %v", info, err)
	}
	if walk(t, dir)["wide.rego"].Changed() {
		t.Error("a written file is still not formatted")
	}
}
