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

func TestAFileThatCannotBeFormattedDoesNotEndTheOthers(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a_empty.rego"), "", 0o600)
	write(t, filepath.Join(dir, "b_blank.rego"), "\n \n", 0o600)
	write(t, filepath.Join(dir, "c_comment.rego"), "# nothing yet\n", 0o600)
	write(t, filepath.Join(dir, "d_data.rego"), "{\"a\": 1}", 0o600)
	write(t, filepath.Join(dir, "e_binary.rego"), "\x00\xff", 0o600)
	write(t, filepath.Join(dir, "z.rego"), "package p\nx  :=  1\n", 0o600)
	want := 5
	if os.Getuid() != 0 {
		write(t, filepath.Join(dir, "f_secret.rego"), "package p\n", 0o200)
		write(t, filepath.Join(dir, "g_secret", "x.rego"), "package p\n", 0o600)
		if err := os.Chmod(filepath.Join(dir, "g_secret"), 0o300); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "g_secret"), 0o700) }) // so that it can be removed
		want = 7
	}
	files := walk(t, dir)
	if !files["z.rego"].Changed() {
		t.Errorf("the last file was not formatted: %+v", files)
	}
	problems := 0
	for name, f := range files {
		if name != "z.rego" && (len(f.Problems) == 0 || f.Problems[0].File != f.Path || f.Changed()) {
			t.Errorf("%s: %+v", name, f)
		}
		problems += min(1, len(f.Problems))
	}
	if problems != want {
		t.Errorf("%d files have problems; want %d", problems, want)
	}
}

func TestALinkNamedByHandIsFollowedAndStaysALink(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "real", "a.rego"), "package p\nx  :=  1\n", 0o640)
	for link, target := range map[string]string{"folder": "real", "b.rego": filepath.Join("real", "a.rego"), "gone.rego": "nothing"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
	}
	if files := walk(t, dir); len(files) != 1 {
		t.Errorf("links that were found were followed: %+v", files)
	}
	if f := walk(t, filepath.Join(dir, "folder"))["a.rego"]; f.Path != filepath.Join(dir, "folder", "a.rego") || !f.Changed() {
		t.Errorf("below a link: %+v", f)
	}
	link := filepath.Join(dir, "b.rego")
	if err := walk(t, link)["b.rego"].Write(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is a link no more: %v, %v", info, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "real", "a.rego")); err != nil || string(text) != "package p\n\nx := 1\n" {
		t.Errorf("what the link leads to: %q, %v", text, err)
	}
	if err := regofmt.Walk([]string{filepath.Join(dir, "gone.rego")}, nil); err == nil {
		t.Error("a link to nothing is no error")
	}
}
