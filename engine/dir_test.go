//go:build unix

package engine_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
)

// disk makes a real directory: a value that begins with "->" is a symbolic link's target.
func disk(t *testing.T, files tree) string {
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

func loadDir(t *testing.T, dir string, cfg engine.DirConfig) (*engine.Generation, error) {
	t.Helper()
	d, err := engine.OpenDir(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return engine.Load(t.Context(), d, nil)
}

func paths(g *engine.Generation) (names []string) {
	for _, f := range g.Files() {
		names = append(names, f.Path)
	}
	return names
}

func TestLinksInsideTheDirectoryAreFollowed(t *testing.T) {
	for name, c := range map[string]struct {
		files tree
		want  []string
	}{
		"ConfigMap": {
			tree{"..2026/p.rego": good, "..2026/data.json": "{}", "..data": "->..2026", "p.rego": "->..data/p.rego", "data.json": "->..data/data.json"},
			[]string{"data.json", "p.rego"},
		},
		"sibling file": {tree{"lib/p.txt": good, "p.rego": "->lib/p.txt"}, []string{"p.rego"}},
		"a module is loaded once, data lies under both names": {
			tree{"a/p.rego": "package p\ndefault x := 1", "a/data.json": "{}", "b": "->a"},
			[]string{"a/data.json", "a/p.rego", "b/data.json"},
		},
		"absolute but inside":        {tree{"lib/p.txt": good, "p.rego": "->$DIR/lib/p.txt"}, []string{"p.rego"}},
		"dangling debris":            {tree{"p.rego": good, ".#p.rego": "->nowhere", "notes": "->nowhere"}, []string{"p.rego"}},
		"link of no interest leaves": {tree{"p.rego": good, "notes.txt": "->p.rego"}, []string{"p.rego"}},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := loadDir(t, disk(t, c.files), engine.DirConfig{})
			if err != nil {
				t.Fatalf("%v\n%v", err, diagnostics(err))
			}
			if got := paths(g); !slices.Equal(got, c.want) {
				t.Errorf("files are %v; want %v", got, c.want)
			}
		})
	}
}

func TestLinksThatLeadOutOrRoundAreRefusedByName(t *testing.T) {
	outside := disk(t, tree{"q.rego": "package q\nx := 1"})
	for name, c := range map[string]struct {
		files tree
		file  string
	}{
		"file outside":      {tree{"p.rego": good, "q.rego": "->" + outside + "/q.rego"}, "q.rego"},
		"directory outside": {tree{"p.rego": good, "more": "->" + outside}, "more"},
		"its own parent":    {tree{"p.rego": good, "a/loop": "->.."}, "a/loop"},
		"itself":            {tree{"p.rego": good, "q.rego": "->q.rego"}, "q.rego"},
		"dangling policy":   {tree{"p.rego": good, "q.rego": "->gone"}, "q.rego"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadDir(t, disk(t, c.files), engine.DirConfig{})
			ds := diagnostics(err)
			if len(ds) != 1 || ds[0].File != c.file {
				t.Fatalf("%v; want one diagnostic about %s", ds, c.file)
			}
			if strings.Contains(err.Error(), outside) {
				t.Errorf("%v tells an absolute path", err)
			}
		})
	}
	g, err := loadDir(t, disk(t, tree{"p.rego": good, "more": "->" + outside}), engine.DirConfig{AllowOutside: true})
	if err != nil || answer(t, g, "q/x") != "1" {
		t.Errorf("allowed link: %v", err)
	}
}

func TestAFIFONeverBlocks(t *testing.T) {
	dir := disk(t, tree{"p.rego": good})
	for _, name := range []string{"notes", "q.rego"} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o644); err != nil {
			t.Skipf("SKIPPED: no FIFO can be made here: %v", err)
		}
	}
	_, err := loadDir(t, dir, engine.DirConfig{})
	if ds := diagnostics(err); len(ds) != 1 || ds[0].File != "q.rego" || ds[0].Code != diagnostic.CodeFileNotRegular {
		t.Errorf("%v; want q.rego named as not regular, notes ignored", ds)
	}
}

func TestADirStaysTheDirectoryThatWasOpened(t *testing.T) {
	top := disk(t, tree{"one/p.rego": good, "two/p.rego": better, "now": "->one"})
	now := filepath.Join(top, "now")
	d, err := engine.OpenDir(now, engine.DirConfig{})
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
	g, err := engine.Load(t.Context(), d, nil)
	if err != nil || answer(t, g, "p/x") != "1" {
		t.Errorf("%v; want what the link meant when it was opened", err)
	}
	if g, err := loadDir(t, now, engine.DirConfig{}); err != nil || answer(t, g, "p/x") != "2" {
		t.Errorf("%v; want what the link means now", err)
	}
}

func TestAnUnreadableFileIsNamed(t *testing.T) {
	if os.Geteuid() == 0 {
		// root reads everything; a directory in a file's place is unreadable for everybody
		dir := disk(t, tree{"p.rego": good, "q.rego/x": ""})
		g, err := loadDir(t, dir, engine.DirConfig{})
		if err != nil || !slices.Equal(paths(g), []string{"p.rego"}) {
			t.Errorf("a directory called q.rego: %v", err)
		}
		t.Skip("SKIPPED the rest: the superuser may read every file")
	}
	dir := disk(t, tree{"p.rego": good, "q.rego": good})
	if err := os.Chmod(filepath.Join(dir, "q.rego"), 0); err != nil {
		t.Fatal(err)
	}
	_, err := loadDir(t, dir, engine.DirConfig{})
	if ds := diagnostics(err); len(ds) != 1 || ds[0].File != "q.rego" || !strings.Contains(ds[0].Message, "permission denied") {
		t.Errorf("%v", ds)
	}
}

func TestAPathThatIsNoDirectoryIsSaidInOneSentence(t *testing.T) {
	dir := disk(t, tree{"file": ""})
	for path, want := range map[string]string{
		filepath.Join(dir, "gone"): "policy directory " + filepath.Join(dir, "gone") + ": no such file or directory",
		filepath.Join(dir, "file"): "policy directory " + filepath.Join(dir, "file") + ": not a directory",
	} {
		if _, err := engine.OpenDir(path, engine.DirConfig{}); err == nil || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
}
