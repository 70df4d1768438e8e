//go:build linux

package watcher

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// patience limits the wait for a change. Only a failing test waits this long.
const patience = 10 * time.Second

// reader stands for the engine: it reads the whole directory at each change and holds what it read.
type reader struct {
	root string
	held string
}

// read renders the relevant files of the directory, through links that stay inside.
func read(root string) string {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "no root"
	}
	var b strings.Builder
	var walk func(dir, rel string, depth int)
	walk = func(dir, rel string, depth int) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") || depth > 8 {
				continue
			}
			p, r := filepath.Join(dir, e.Name()), filepath.Join(rel, e.Name())
			switch {
			case e.IsDir():
				walk(p, r, depth+1)
			case strings.HasSuffix(e.Name(), ".rego"):
				text, err := os.ReadFile(p)
				fmt.Fprintf(&b, "%s=%s,%v\n", r, text, err != nil)
			}
		}
	}
	walk(real, "", 0)
	return b.String()
}

// TestReaderMatchesDiskAfterRandomOperations changes a directory at random, as editors, git, kubelet and
// people do. The scans are an hour apart, so only events can report the changes.
func TestReaderMatchesDiskAfterRandomOperations(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		top, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			rt.Fatal(err)
		}
		root := filepath.Join(top, "root")
		for _, dir := range []string{"one", "two"} {
			if err := os.Mkdir(filepath.Join(top, dir), 0o755); err != nil {
				rt.Fatal(err)
			}
		}
		if err := os.Symlink("one", root); err != nil {
			rt.Fatal(err)
		}
		w, err := New(Config{
			Root: root, Relevant: func(rel string) bool { return strings.HasSuffix(rel, ".rego") },
			Debounce: time.Millisecond, MaxWait: 20 * time.Millisecond,
			PollInterval: time.Hour, SafetyInterval: time.Hour,
		})
		if err != nil {
			rt.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		out, done := make(chan Change), make(chan error)
		go func() { done <- w.Run(ctx, out) }()
		defer func() { cancel(); <-done }()
		<-out
		r := &reader{root: root, held: read(root)}
		world := &world{top: top, t: rt}
		var log []string
		for range rapid.IntRange(1, 12).Draw(rt, "moments") {
			for range rapid.IntRange(1, 8).Draw(rt, "operations") {
				log = append(log, world.step())
			}
			r.until(rt, out, log)
		}
	})
}

// until receives changes until the reader holds what is on disk.
func (r *reader) until(t *rapid.T, out <-chan Change, log []string) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		if r.held == read(r.root) {
			return
		}
		select {
		case <-out:
			r.held = read(r.root)
		case <-deadline.C:
			t.Fatalf("no change was reported\n%s\nthe reader holds\n%s\nthe disk\n%s",
				strings.Join(log, "\n"), r.held, read(r.root))
		}
	}
}

type world struct {
	top   string
	t     *rapid.T
	count int
}

func (w *world) name(of string) string {
	dirs := []string{"", "a", "a/b", "c", ".hidden", "l"}
	names := map[string][]string{
		"file": {"p.rego", "q.rego", "notes.txt", ".p.rego", "p.rego~"},
		"dir":  {"a", "a/b", "c", "a/d"},
	}
	roots := []string{"root", "root", "root", "one", "two"}
	root := filepath.Join(w.top, rapid.SampledFrom(roots).Draw(w.t, "root"))
	if of == "dir" {
		return filepath.Join(root, rapid.SampledFrom(names["dir"]).Draw(w.t, "dir"))
	}
	dir := rapid.SampledFrom(dirs).Draw(w.t, "in")
	return filepath.Join(root, dir, rapid.SampledFrom(names["file"]).Draw(w.t, "file"))
}

// step makes one random operation and describes it. Many operations fail, as they do in practice.
func (w *world) step() string {
	w.count++
	text := fmt.Sprint(w.count)
	what := rapid.SampledFrom([]string{
		"write", "append", "pieces", "save", "remove", "rename", "mkdir", "rmdir", "mvdir", "link", "swap", "chmod",
		"touch", "replace-root",
	}).Draw(w.t, "what")
	var err error
	var names []string
	use := func(of string) string {
		n := w.name(of)
		names = append(names, n)
		return n
	}
	switch what {
	case "write":
		err = os.WriteFile(use("file"), []byte(text), 0o644)
	case "append", "pieces":
		var f *os.File
		if f, err = os.OpenFile(use("file"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
			for range len(what) {
				_, err = f.WriteString(text)
			}
			f.Close()
		}
	case "save":
		n := use("file")
		temp := filepath.Join(filepath.Dir(n), ".tmp")
		if err = os.WriteFile(temp, []byte(text), 0o644); err == nil {
			err = os.Rename(temp, n)
		}
	case "remove":
		err = os.Remove(use("file"))
	case "rename":
		err = os.Rename(use("file"), use("file"))
	case "mkdir":
		err = os.MkdirAll(use("dir"), 0o755)
	case "rmdir":
		err = os.RemoveAll(use("dir"))
	case "mvdir":
		err = os.Rename(use("dir"), use("dir"))
	case "link":
		targets := []string{"p.rego", "a/p.rego", "c/q.rego", "nowhere"}
		err = os.Symlink(rapid.SampledFrom(targets).Draw(w.t, "target"), use("file"))
	case "swap":
		n := filepath.Join(w.top, "swap")
		_ = os.Remove(n)
		if err = os.Symlink(rapid.SampledFrom([]string{"one", "two"}).Draw(w.t, "target"), n); err == nil {
			err = os.Rename(n, filepath.Join(w.top, "root"))
		}
	case "chmod":
		err = os.Chmod(use("file"), fs.FileMode(rapid.SampledFrom([]int{0o644, 0o600}).Draw(w.t, "mode")))
	case "touch":
		err = os.Chtimes(use("file"), time.Time{}, time.Now())
	case "replace-root":
		n := filepath.Join(w.top, rapid.SampledFrom([]string{"one", "two"}).Draw(w.t, "tree"))
		if err = os.Rename(n, n+text); err == nil {
			err = os.MkdirAll(filepath.Join(n, "a"), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(n, "a", "p.rego"), []byte(text), 0o644)
		}
	}
	return fmt.Sprint(what, names, err)
}

func BenchmarkFromSaveToChange(b *testing.B) {
	dir := b.TempDir()
	w, err := New(Config{Root: dir})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	out, done := make(chan Change), make(chan error)
	go func() { done <- w.Run(ctx, out) }()
	<-out
	for i := range b.N {
		temp := filepath.Join(dir, ".tmp")
		if err := os.WriteFile(temp, fmt.Append(nil, i), 0o644); err != nil {
			b.Fatal(err)
		}
		if err := os.Rename(temp, filepath.Join(dir, "p.rego")); err != nil {
			b.Fatal(err)
		}
		<-out
	}
	cancel()
	<-done
}

func BenchmarkScanOf10000Files(b *testing.B) {
	dir := b.TempDir()
	for i := range 10_000 {
		name := filepath.Join(dir, fmt.Sprintf("d%02d", i/100), fmt.Sprintf("m%d.rego", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	w, err := New(Config{Root: dir})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if s := scan(&w.cfg, func(string, bool) {}); len(s.files) != 10_000 {
			b.Fatal(len(s.files))
		}
	}
}
