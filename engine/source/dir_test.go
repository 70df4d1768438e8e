//go:build unix

package source

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"defenseclaw/engine/diagnostic"
)

// disk makes a real directory: a value that begins with "->" is a symbolic link's target.
func disk(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(content, "->"); link {
			err = os.Symlink(strings.ReplaceAll(target, "$DIR", dir), p)
		} else {
			err = os.WriteFile(p, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	good   = "package p\nx := 1\n"
	better = "package p\nx := 2\n"
)

func readDir(t *testing.T, dir string, cfg Config) (*Reading, error) {
	t.Helper()
	d, err := Open(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return Read(t.Context(), d, Options{})
}

func paths(r *Reading) (names []string) {
	for _, f := range r.Files() {
		names = append(names, f.Path)
	}
	return names
}

func diagnostics(err error) (list diagnostic.List) {
	_ = errors.As(err, &list) // or there are none
	return list
}

func TestLinksInsideTheDirectoryAreFollowed(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"ConfigMap": {
			map[string]string{"..2026/p.rego": good, "..2026/data.json": "{}", "..data": "->..2026", "p.rego": "->..data/p.rego", "data.json": "->..data/data.json"},
			[]string{"data.json", "p.rego"},
		},
		"sibling file": {map[string]string{"lib/p.txt": good, "p.rego": "->lib/p.txt"}, []string{"p.rego"}},
		"a module is loaded once, data lies under both names": {
			map[string]string{"a/p.rego": "package p\ndefault x := 1", "a/data.json": "{}", "b": "->a"},
			[]string{"a/data.json", "a/p.rego", "b/data.json"},
		},
		"absolute but inside":        {map[string]string{"lib/p.txt": good, "p.rego": "->$DIR/lib/p.txt"}, []string{"p.rego"}},
		"dangling debris":            {map[string]string{"p.rego": good, ".#p.rego": "->nowhere", "notes": "->nowhere"}, []string{"p.rego"}},
		"link of no interest leaves": {map[string]string{"p.rego": good, "notes.txt": "->p.rego"}, []string{"p.rego"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := readDir(t, disk(t, c.files), Config{})
			if err != nil {
				t.Fatalf("%v\n%v", err, diagnostics(err))
			}
			if got := paths(r); !slices.Equal(got, c.want) {
				t.Errorf("files are %v; want %v", got, c.want)
			}
		})
	}
}

func TestLinksThatLeadOutOrRoundAreRefusedByName(t *testing.T) {
	outside := disk(t, map[string]string{"q.rego": "package q\nx := 1"})
	for name, c := range map[string]struct {
		files map[string]string
		file  string
	}{
		"file outside":      {map[string]string{"p.rego": good, "q.rego": "->" + outside + "/q.rego"}, "q.rego"},
		"directory outside": {map[string]string{"p.rego": good, "more": "->" + outside}, "more"},
		"its own parent":    {map[string]string{"p.rego": good, "a/loop": "->.."}, "a/loop"},
		"itself":            {map[string]string{"p.rego": good, "q.rego": "->q.rego"}, "q.rego"},
		"dangling policy":   {map[string]string{"p.rego": good, "q.rego": "->gone"}, "q.rego"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readDir(t, disk(t, c.files), Config{})
			ds := diagnostics(err)
			if len(ds) != 1 || ds[0].File != c.file {
				t.Fatalf("%v; want one diagnostic about %s", ds, c.file)
			}
			if strings.Contains(err.Error(), outside) {
				t.Errorf("%v tells an absolute path", err)
			}
		})
	}
	r, err := readDir(t, disk(t, map[string]string{"p.rego": good, "more": "->" + outside}), Config{AllowOutside: true})
	if err != nil || len(r.Source("more/q.rego")) == 0 {
		t.Errorf("allowed link: %v", err)
	}
}

func TestAFIFONeverBlocks(t *testing.T) {
	dir := disk(t, map[string]string{"p.rego": good})
	for _, name := range []string{"notes", "q.rego"} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o644); err != nil {
			t.Skipf("SKIPPED: no FIFO can be made here: %v", err)
		}
	}
	if _, err := Open(filepath.Join(dir, "notes"), Config{}); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("%v; want a FIFO as the policy directory refused", err)
	}
	_, err := readDir(t, dir, Config{})
	if ds := diagnostics(err); len(ds) != 1 || ds[0].File != "q.rego" || ds[0].Code != diagnostic.CodeFileNotRegular {
		t.Errorf("%v; want q.rego named as not regular, notes ignored", ds)
	}
}

func TestADirStaysTheDirectoryThatWasOpened(t *testing.T) {
	top := disk(t, map[string]string{"one/p.rego": good, "two/p.rego": better, "now": "->one"})
	now := filepath.Join(top, "now")
	d, err := Open(now, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := os.Remove(now); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("two", now); err != nil {
		t.Fatal(err)
	}
	r, err := Read(t.Context(), d, Options{})
	if err != nil || string(r.Source("p.rego")) != good {
		t.Errorf("%v; want what the link meant when it was opened", err)
	}
	if r, err := readDir(t, now, Config{}); err != nil || string(r.Source("p.rego")) != better {
		t.Errorf("%v; want what the link means now", err)
	}
}

func TestAnUnreadableFileIsNamed(t *testing.T) {
	if os.Geteuid() == 0 {
		// root reads everything; a directory in a file's place is unreadable even for root
		dir := disk(t, map[string]string{"p.rego": good, "q.rego/x": ""})
		r, err := readDir(t, dir, Config{})
		if err != nil || !slices.Equal(paths(r), []string{"p.rego"}) {
			t.Errorf("a directory called q.rego: %v", err)
		}
		t.Skip("SKIPPED the rest: the superuser may read every file")
	}
	dir := disk(t, map[string]string{"p.rego": good, "q.rego": good})
	if err := os.Chmod(filepath.Join(dir, "q.rego"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(dir, "notes"), Config{}); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("%v; want a FIFO as the policy directory refused", err)
	}
	_, err := readDir(t, dir, Config{})
	if ds := diagnostics(err); len(ds) != 1 || ds[0].File != "q.rego" || !strings.Contains(ds[0].Message, "permission denied") {
		t.Errorf("%v", ds)
	}
}

func TestAPathThatIsNoDirectoryIsSaidInOneSentence(t *testing.T) {
	dir := disk(t, map[string]string{"file": ""})
	for path, want := range map[string]string{
		filepath.Join(dir, "gone"): "policy directory " + filepath.Join(dir, "gone") + ": no such file or directory",
		filepath.Join(dir, "file"): "policy directory " + filepath.Join(dir, "file") + ": not a directory",
	} {
		if _, err := Open(path, Config{}); err == nil || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
}
