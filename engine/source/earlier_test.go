package source

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// opens counts which files are opened.
type opens struct {
	*Dir
	paths []string
	fine  bool
}

// FineDevice is none unless a test is about that: when files were written, and when they are read, is up to the machine.
func (o *opens) FineDevice() uint64 {
	if !o.fine {
		return 0
	}
	return o.Dir.FineDevice()
}

func (o *opens) Open(name string) (fs.File, error) {
	if filepath.Ext(name) == ".rego" || filepath.Ext(name) == ".json" {
		o.paths = append(o.paths, name)
	}
	return o.Dir.Open(name)
}

// An ask is what an attempt takes from the reading before: everything is opened for a full check.
type ask struct {
	full, watched bool
	paths         []string
	fine          bool // see [Ticking]
}

var full = ask{full: true}

func (a ask) earlier(previous *Reading) Earlier {
	if previous == nil || a.full {
		return Earlier{Previous: previous}
	}
	e := Earlier{Reading: previous, Previous: previous, Changed: map[string]bool{}}
	if a.watched {
		e.ChangedDirs = map[string]bool{}
	}
	for _, p := range a.paths {
		e.Changed[p] = true
		if a.watched {
			e.ChangedDirs[path.Dir(p)] = true
		}
	}
	return e
}

// diskRead reads dir, and returns the files that it opened.
func diskRead(t tB, dir string, a ask, previous *Reading) (*Reading, []string) {
	t.Helper()
	d, err := Open(dir, Config{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer d.Close()
	src := &opens{Dir: d, fine: a.fine}
	r, err := Read(context.Background(), src, Options{Earlier: a.earlier(previous)})
	if err != nil {
		t.Fatalf("%v", err)
	}
	slices.Sort(src.paths)
	return r, slices.Compact(src.paths)
}

// later is a reading that was made when all files were old.
func later(r *Reading) *Reading {
	old := *r
	old.begun = old.begun.Add(time.Hour)
	return &old
}

// tB is what testing.TB and rapid.T have in common.
type tB interface {
	Helper()
	Fatalf(format string, args ...any)
}

func writeFile(t tB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatalf("%v", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatalf("%v", err)
	}
}

func TestAWatchReadsWhatChangedAndAFullCheckReadsAll(t *testing.T) {
	dir := t.TempDir()
	all := []string{"a.rego", "b.rego", "c/data.json"}
	writeFile(t, dir, "a.rego", "package a\nx := 1\n")
	writeFile(t, dir, "b.rego", "package b\nx := 1\n")
	writeFile(t, dir, "c/data.json", `{"y": 1}`)
	first, read := diskRead(t, dir, full, nil)
	if !slices.Equal(read, all) {
		t.Errorf("the first load read %v", read)
	}
	young, read := diskRead(t, dir, ask{watched: true}, first)
	if !slices.Equal(read, all) || !young.SameContent(first) {
		t.Errorf("files that changed just now are read again, since their stats may be too coarse: %v", read)
	}
	first = later(first)
	for name, tt := range map[string]struct {
		ask  ask
		want []string
	}{
		"watch":         {ask{watched: true}, nil},
		"poll":          {ask{}, nil},
		"watch, a path": {ask{watched: true, paths: []string{"b.rego"}}, []string{"b.rego"}},
		"full check":    {full, all},
	} {
		if r, read := diskRead(t, dir, tt.ask, first); !slices.Equal(read, tt.want) || !r.SameContent(first) {
			t.Errorf("%s read %v; want %v", name, read, tt.want)
		}
	}
	writeFile(t, dir, "b.rego", "package b\nx := 2\n") // the same size
	second, read := diskRead(t, dir, ask{}, first)
	if runtime.GOOS == "linux" && !slices.Equal(read, []string{"b.rego"}) || !slices.Equal(second.ChangedSince(first).All, []string{"b.rego"}) {
		t.Errorf("read %v, changed %v", read, second.ChangedSince(first).All)
	}
	if got := string(second.Source("b.rego")); got != "package b\nx := 2\n" || second.Find("a.rego") != first.Find("a.rego") {
		t.Errorf("%q", got)
	}
}

// TestWhatIsTakenWithoutReadingIsWhatReadingWouldGive whatever is done to the files, their times
// set back included. Events tell at least of what was written in place.
func TestWhatIsTakenWithoutReadingIsWhatReadingWouldGive(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("times can be set back unseen here: what is taken is right from the next full check on")
	}
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "trust") //nolint:usetesting // one for each check
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		names := []string{"a.rego", "b.rego", "c/d.rego", "data.json"}
		text := func(name string) string {
			n := rapid.IntRange(0, 9).Draw(t, "n")
			if filepath.Ext(name) == ".json" {
				return fmt.Sprintf(`{"n": %d}`, n)
			}
			return fmt.Sprintf("package p\nx%d := %d\n", len(name), n)
		}
		writeFile(t, dir, "keep.rego", "package keep\n")
		g, _ := diskRead(t, dir, full, nil)
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			time.Sleep(5 * time.Millisecond) // a tick of the file system's clock, which later(g) does not wait for
			name := rapid.SampledFrom(names).Draw(t, "name")
			path := filepath.Join(dir, name)
			before, statErr := os.Stat(path)
			ask := ask{watched: rapid.Bool().Draw(t, "watched")}
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				_ = os.Remove(path) // or it is not there
			case 1: // by a rename, with the old file's times
				writeFile(t, dir, "new", text(name))
				_ = os.MkdirAll(filepath.Dir(path), 0o700) // or it is there
				if statErr == nil {
					_ = os.Chtimes(filepath.Join(dir, "new"), before.ModTime(), before.ModTime())
				}
				if err := os.Rename(filepath.Join(dir, "new"), path); err != nil {
					t.Fatal(err)
				}
			case 2:
				_ = os.Rename(path, filepath.Join(dir, "c", "moved"+filepath.Ext(name))) // or one of them is not there
			default: // in place, with its old times
				if ask.watched {
					ask.paths = []string{name}
				}
				writeFile(t, dir, name, text(name))
				if statErr == nil && rapid.Bool().Draw(t, "back") {
					if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
						t.Fatal(err)
					}
				}
			}
			next, _ := diskRead(t, dir, ask, later(g))
			fresh, _ := diskRead(t, dir, full, nil)
			if next.Revision() != fresh.Revision() {
				t.Fatalf("%s: taken without reading %s; read %s", name, next.Revision(), fresh.Revision())
			}
			g = next
		}
	})
}

func TestAWatchListsTheFoldersThatChanged(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/p.rego", "a/sub/q.rego", "b/p.rego", "b/sub/data.json"} {
		text := fmt.Sprintf("package p%d\nx := 1\n", len(name))
		if filepath.Ext(name) == ".json" {
			text = `{"y": 1}`
		}
		writeFile(t, dir, name, text)
	}
	if err := os.Symlink("a/sub/q.rego", filepath.Join(dir, "r.rego")); err != nil {
		t.Skip("symbolic links are needed:", err)
	}
	all := []string{".", "a", "a/sub", "b", "b/sub"}
	for name, tt := range map[string]struct {
		change func()
		ask    ask
		want   []string
	}{
		"nothing": {func() {}, ask{watched: true}, []string{"."}}, // it has a link
		"a path":  {func() {}, ask{watched: true, paths: []string{"b/sub/data.json"}}, []string{".", "b/sub"}},
		"a file more": {
			func() { writeFile(t, dir, "a/sub/more.rego", "package more\nx := 1\n") }, ask{watched: true}, []string{".", "a/sub"},
		},
		// The second look sees what no event named; then all is too young here to be trusted.
		"a path and a file more": {
			func() { writeFile(t, dir, "a/sub/more.rego", "package more\nx := 1\n") }, ask{watched: true, paths: []string{"b/sub/data.json"}}, all,
		},
		"a folder more": {
			func() { writeFile(t, dir, "b/new/more.rego", "package new\nx := 1\n") }, ask{watched: true}, []string{".", "b", "b/new"},
		},
		"a folder less": {
			func() { _ = os.RemoveAll(filepath.Join(dir, "b/new")) }, ask{watched: true}, []string{".", "b"},
		},
		"poll": {func() {}, ask{}, all},
		"api":  {func() {}, full, all},
	} {
		_ = os.RemoveAll(filepath.Join(dir, "b/new"))
		_ = os.Remove(filepath.Join(dir, "a/sub/more.rego"))
		if name == "a folder less" {
			writeFile(t, dir, "b/new/more.rego", "package new\nx := 1\n")
		}
		before, _ := diskRead(t, dir, full, nil)
		tt.change()
		listed := listedBy(t, dir, tt.ask, later(before))
		if !slices.Equal(listed, tt.want) {
			t.Errorf("%s: listed %v; want %v", name, listed, tt.want)
		}
	}
}

func (l *listings) FineDevice() uint64 { return 0 } // as that of opens

// listedBy returns the directories that a reading lists.
func listedBy(t tB, dir string, a ask, previous *Reading) []string {
	t.Helper()
	d, err := Open(dir, Config{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer d.Close()
	src := &listings{Dir: d}
	g, err := Read(context.Background(), src, Options{Earlier: a.earlier(previous)})
	if err != nil {
		t.Fatalf("%v", err)
	}
	fresh, _ := diskRead(t, dir, full, nil)
	if g.Revision() != fresh.Revision() {
		t.Fatalf("%s is not what the directory holds, %s", g.Revision(), fresh.Revision())
	}
	slices.Sort(src.dirs)
	return slices.Compact(src.dirs)
}

// listings notes which directories are listed.
type listings struct {
	*Dir
	dirs []string
}

func (l *listings) ReadDir(name string) ([]fs.DirEntry, error) {
	l.dirs = append(l.dirs, name)
	return fs.ReadDir(l.Dir, name)
}

// BenchmarkReadOneFileAmongMany compares a full check with the reading that follows an event.
func BenchmarkReadOneFileAmongMany(b *testing.B) {
	const n = 5000
	dir := b.TempDir()
	for i := range n {
		writeFile(b, dir, fmt.Sprintf("t%d/p.rego", i), fmt.Sprintf("package t%d\nallow if input.x == %d\n", i, i))
	}
	for name, ask := range map[string]ask{"full": full, "watch": {watched: true}} {
		r, _ := diskRead(b, dir, full, nil)
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				writeFile(b, dir, "t7/p.rego", fmt.Sprintf("package t7\nallow if input.x == %d\n", 1000+i%1000))
				b.StartTimer()
				r, _ = diskRead(b, dir, ask, later(r))
			}
		})
	}
}

// TestAFolderThatBecomesTheRootIsReadAnew since its files have other paths within the policy, and so have those of the folders
// below it, of which no event tells.
func TestAFolderThatBecomesTheRootIsReadAnew(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "p.rego", "package p")
	writeFile(t, dir, "rego/sub/data.json", "{}")
	first, _ := diskRead(t, dir, full, nil)
	writeFile(t, dir, "rego/q.rego", "package q")
	second, _ := diskRead(t, dir, ask{watched: true, paths: []string{"rego/q.rego"}}, later(first))
	want, _ := diskRead(t, dir, full, nil)
	if second.Root() != "rego" || second.Revision() != want.Revision() {
		t.Errorf("%s %v", second.Root(), second.Find("rego/sub/data.json").Rel())
	}
}
