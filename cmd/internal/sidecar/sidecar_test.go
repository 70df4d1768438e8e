//go:build linux

package sidecar_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/engine"
	"defenseclaw/engine/source"

	"go.uber.org/zap"
	"pgregory.net/rapid"
)

// start runs a sidecar on top/pol, with the polls out of reach, so that it is the events that must
// tell. It gives a client and what ends it.
func start(top string) (*api.Client, func() error, error) {
	environment := map[string]string{
		"DEFENSECLAW_POLICY_DIR": filepath.Join(top, "pol"), "DEFENSECLAW_HOME": filepath.Join(top, "state"),
		"DEFENSECLAW_API_PORT": "0", "DEFENSECLAW_GATEWAY_TOKEN": token,
		"DEFENSECLAW_REMOVAL_WAIT":    "20ms", // files are removed all the time
		"DEFENSECLAW_SAFETY_INTERVAL": "1h", "DEFENSECLAW_FULL_CHECK_INTERVAL": "1h", "DEFENSECLAW_POLL_INTERVAL": "1h",
	}
	getenv := func(name string) string { return environment[name] }
	set, err := settings.Resolve(func(string) (string, bool) { return "", false }, getenv)
	if err != nil {
		return nil, nil, err
	}
	s, err := sidecar.New(sidecar.Config{Settings: set, Logger: zap.NewNop()})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	<-ready
	return &api.Client{Addr: s.Addr(), Token: token, Timeout: patience}, func() error { cancel(); return <-done }, nil
}

// fresh is what a process that starts now would load: the revision, or "" when it is refused.
func fresh(dir string) string {
	d, err := source.Open(dir, source.Config{})
	if err != nil {
		return ""
	}
	defer d.Close()
	g, err := engine.Load(context.Background(), d, nil)
	if err != nil {
		return ""
	}
	return g.Revision()
}

// agrees waits until what serves is what is on disk, or says that it is not because the disk is broken.
func agrees(client *api.Client, dir string) error {
	var status api.StatusAnswer
	var want string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		var err error
		if want = fresh(dir); want == "" {
			want = "stale"
		}
		if status, err = client.Status(context.Background()); err != nil {
			return err
		}
		if status.State == "current" && status.Revision == want || status.State == want {
			return nil
		}
	}
	return fmt.Errorf("status %+v; a fresh process would load %s", status, want)
}

// vandal does to a policy directory what editors, git, kubelet and people do.
type vandal struct {
	top   string
	draw  func(label string, of ...string) string
	count int
}

func (v *vandal) path(label string) string {
	return filepath.Join(v.top, "pol", v.draw(label+" in", "", "", "a", "a/b", "c"), v.draw(label, "p.rego", "q.rego", "data.json", "data.yaml", "notes.txt", ".swp.rego", "p.rego~"))
}

func (v *vandal) folder(label string) string {
	return filepath.Join(v.top, "pol", v.draw(label, "a", "a/b", "c", "c/d"))
}

// content is good or broken policy or data for the file of that name.
func (v *vandal) content(path string) string {
	v.count++
	broken := v.draw("broken", "no", "no", "no", "no", "yes") == "yes"
	switch filepath.Ext(path) {
	case ".json", ".yaml":
		if broken {
			return "[1, "
		}
		return fmt.Sprintf(`{"n%d": %d}`, v.count%3, v.count)
	default:
		if broken {
			return "package p\nx := := 1\n"
		}
		return fmt.Sprintf("package %s\nx%d := %d\n", strings.TrimSuffix(filepath.Base(path), ".rego"), v.count%3, v.count)
	}
}

func (v *vandal) step() string {
	what := v.draw("what", "write", "write", "save", "save", "pieces", "remove", "rename", "mkdir", "rmdir", "mvdir", "link", "swap", "chmod", "touch")
	var err error
	path := v.path("file")
	switch what {
	case "write":
		err = os.WriteFile(path, []byte(v.content(path)), 0o644)
	case "save":
		temp := filepath.Join(filepath.Dir(path), ".tmp")
		if err = os.WriteFile(temp, []byte(v.content(path)), 0o644); err == nil {
			err = os.Rename(temp, path)
		}
	case "pieces":
		text := v.content(path)
		for i := range len(text) {
			err = errors.Join(err, os.WriteFile(path, []byte(text[:i+1]), 0o644))
		}
	case "remove":
		err = os.Remove(path)
	case "rename":
		err = os.Rename(path, v.path("to"))
	case "mkdir":
		err = os.MkdirAll(v.folder("folder"), 0o755)
	case "rmdir":
		err = os.RemoveAll(v.folder("folder"))
	case "mvdir":
		err = os.Rename(v.folder("folder"), v.folder("to"))
	case "link":
		err = os.Symlink(v.draw("target", "p.rego", "a", "../c/q.rego", ".."), path)
	case "swap": // the whole directory, as git-sync does; pol is a link to it
		next := filepath.Join(v.top, "tree"+strconv.Itoa(v.count))
		v.count++
		if err = os.MkdirAll(filepath.Join(next, "a"), 0o755); err == nil {
			p := filepath.Join(next, "a", "p.rego")
			err = os.WriteFile(p, []byte(v.content(p)), 0o644)
		}
		old, _ := os.Readlink(filepath.Join(v.top, "pol"))
		link := filepath.Join(v.top, "link")
		if err = errors.Join(err, os.Symlink(filepath.Base(next), link)); err == nil {
			err = errors.Join(os.Rename(link, filepath.Join(v.top, "pol")), os.RemoveAll(filepath.Join(v.top, old)))
		}
	case "chmod":
		err = os.Chmod(path, 0o600)
	case "touch":
		err = os.Chtimes(path, time.Time{}, time.Now())
	}
	return fmt.Sprint(what, " ", path, " ", err)
}

func prepare(top string) error {
	tree := filepath.Join(top, "tree")
	return errors.Join(os.MkdirAll(tree, 0o755), os.WriteFile(filepath.Join(tree, "p.rego"), []byte("package p\nx := 1\n"), 0o644), os.Symlink("tree", filepath.Join(top, "pol")))
}

func TestItServesWhatAFreshProcessWouldLoad(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		top := t.TempDir()
		if err := prepare(top); err != nil {
			rt.Fatal(err)
		}
		client, stop, err := start(top)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := stop(); err != nil {
				rt.Error(err)
			}
		}()
		v := &vandal{top: top, draw: func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, label) }}
		var log []string
		for range rapid.IntRange(1, 8).Draw(rt, "moments") {
			for range rapid.IntRange(1, 10).Draw(rt, "operations") {
				log = append(log, v.step())
			}
			if err := agrees(client, filepath.Join(top, "pol")); err != nil {
				rt.Fatalf("%v\n%s", err, strings.Join(log, "\n"))
			}
		}
	})
}

// used is what a process must not use more of as it goes on.
type used struct {
	goroutines, descriptors int
	heap                    uint64
}

func measure(t *testing.T) used {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return used{runtime.NumGoroutine(), len(open), m.HeapAlloc}
}

// TestALongLifeUsesNoMoreThanAShortOne edits until SOAK, a duration, is over; make soak sets ten
// minutes. Without it, a thousand reloads have to do.
func TestALongLifeUsesNoMoreThanAShortOne(t *testing.T) {
	top := t.TempDir()
	if err := prepare(top); err != nil {
		t.Fatal(err)
	}
	client, stop, err := start(top)
	if err != nil {
		t.Fatal(err)
	}
	soak, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil && os.Getenv("SOAK") != "" {
		t.Fatal(err)
	}
	pol := filepath.Join(top, "pol")
	edit := func(i int) {
		temp := filepath.Join(pol, ".tmp")
		if err := os.WriteFile(temp, fmt.Appendf(nil, "package p\nx := %d\n", i), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temp, filepath.Join(pol, "p.rego")); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(1)
	v := &vandal{top: top, draw: func(_ string, of ...string) string {
		seed = seed*6364136223846793005 + 1442695040888963407
		return of[int(seed>>33)%len(of)]
	}}
	wander := func() {
		if soak == 0 {
			return
		}
		for range 20 {
			v.step()
		}
		if err := agrees(client, pol); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.RemoveAll(filepath.Join(top, "fresh")), os.MkdirAll(filepath.Join(top, "fresh"), 0o755)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(pol), os.Symlink("fresh", pol)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		wander()
		edit(i)
	}
	before := measure(t)
	edits := 200
	for end := time.Now().Add(soak); edits < 1200 || time.Now().Before(end); edits++ {
		wander()
		edit(edits)
	}
	after := measure(t)
	t.Logf("after %d edits: %+v; after 200: %+v", edits, after, before)
	if after.goroutines > before.goroutines+5 || after.descriptors > before.descriptors+5 || after.heap > before.heap+before.heap/2+8<<20 {
		t.Errorf("it uses more after %d edits, %+v, than after 200, %+v", edits, after, before)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
