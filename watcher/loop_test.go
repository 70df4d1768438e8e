package watcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kernel is the notifier of a test, which sends the events and errors and can refuse to watch a
// directory.
type kernel struct {
	events chan fsnotify.Event
	errs   chan error
	refuse sync.Map // directory → error
	adds   atomic.Int64
}

func newKernel() *kernel {
	return &kernel{events: make(chan fsnotify.Event), errs: make(chan error)}
}

func (k *kernel) Add(dir string) error {
	k.adds.Add(1)
	if err, ok := k.refuse.Load(dir); ok {
		return err.(error)
	}
	return nil
}
func (k *kernel) Remove(string) error           { return nil }
func (k *kernel) Events() <-chan fsnotify.Event { return k.events }
func (k *kernel) Errors() <-chan error          { return k.errs }
func (k *kernel) Close() error                  { close(k.events); close(k.errs); return nil }

// rig is one watcher of a real directory, in a synctest bubble.
type rig struct {
	t      *testing.T
	dir    string
	kernel *kernel
	out    chan Change
	w      *Watcher
	start  time.Time
}

// inBubble starts a watcher, receives its first change, and calls body.
func inBubble(t *testing.T, change func(*Config, *Watcher), body func(*rig)) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "p.rego"), "1")
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, dir: dir, kernel: newKernel(), out: make(chan Change)}
		cfg := Config{Root: dir, Relevant: func(rel string) bool { return strings.HasSuffix(rel, ".rego") }}
		if change != nil {
			change(&cfg, nil)
		}
		r.w, err = New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		r.w.open = func() (notifier, error) { return r.kernel, nil }
		if change != nil {
			change(&cfg, r.w)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.w.Run(ctx, r.out) }()
		if first := <-r.out; !first.Rescan || first.Reason != "the watch began" {
			t.Errorf("the first change is %+v, want a rescan", first)
		}
		r.start = time.Now()
		body(r)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) event(op fsnotify.Op, name string) {
	r.kernel.events <- fsnotify.Event{Name: filepath.Join(r.dir, name), Op: op}
}

// expect receives the next change, which must come exactly this long after r.start.
func (r *rig) expect(after time.Duration, paths ...string) Change {
	r.t.Helper()
	c := <-r.out
	if got := time.Since(r.start); got != after {
		r.t.Errorf("the change came after %s, want %s", got, after)
	}
	if !slices.Equal(c.Paths, paths) {
		r.t.Errorf("the change is %+v, want the paths %v", c, paths)
	}
	return c
}

func (r *rig) expectNothingFor(d time.Duration) {
	r.t.Helper()
	select {
	case c := <-r.out:
		r.t.Errorf("after %s came %+v, want nothing for %s", time.Since(r.start), c, d)
	case <-time.After(d):
	}
}

func TestWholeFileIsReportedAtOnce(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		write(t, filepath.Join(r.dir, "p.rego"), "2")
		r.event(fsnotify.Create, "p.rego")
		r.expect(wholeFileQuiet, "p.rego")
		r.expectNothingFor(10 * time.Second)
	})
}

func TestInPlaceWriteIsReportedAfterDebounce(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		for range 5 {
			r.event(fsnotify.Write, "p.rego")
			time.Sleep(DefaultDebounce / 2)
		}
		r.expect(5*DefaultDebounce/2+DefaultDebounce/2, "p.rego")
	})
}

func TestStormIsReportedAfterMaxWait(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		stop := make(chan struct{})
		go func() {
			for {
				r.event(fsnotify.Write, "p.rego")
				select {
				case <-stop:
					close(stop)
					return
				case <-time.After(DefaultDebounce / 2):
				}
			}
		}()
		r.expect(DefaultMaxWait, "p.rego")
		stop <- struct{}{}
		<-stop
	})
}

func TestEmptyFileIsHeldBackUntilMaxWait(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		write(t, filepath.Join(r.dir, "p.rego"), "")
		r.event(fsnotify.Write, "p.rego")
		time.Sleep(70 * time.Millisecond)
		write(t, filepath.Join(r.dir, "p.rego"), "2")
		r.event(fsnotify.Write, "p.rego")
		r.expect(70*time.Millisecond+DefaultDebounce, "p.rego")

		r.start = time.Now()
		write(t, filepath.Join(r.dir, "p.rego"), "")
		r.event(fsnotify.Write, "p.rego")
		r.expect(DefaultMaxWait, "p.rego")
	})
}

func TestChangesMergeWhileNothingReceives(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		for i := range 100 {
			name := fmt.Sprintf("m%02d.rego", i)
			write(t, filepath.Join(r.dir, name), "1")
			r.event(fsnotify.Create, name)
			time.Sleep(time.Second)
		}
		c := <-r.out
		if len(c.Paths) != 100 || c.At != r.start {
			t.Errorf("%d paths since %s, want all 100 since the first", len(c.Paths), c.At)
		}
		r.expectNothingFor(10 * time.Second)
	})
}

func TestIrrelevantFilesCauseNoChange(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		for _, name := range []string{"4913", ".p.rego.swp", "p.rego~", "#p.rego#", ".git", "notes.txt"} {
			write(t, filepath.Join(r.dir, name), "x")
			r.event(fsnotify.Create|fsnotify.Write, name)
		}
		r.expectNothingFor(10 * time.Second)
		if h := r.w.Health(); h.Events != 0 || h.Dropped != 0 {
			t.Errorf("%+v", h)
		}
	})
}

func TestShortLivedEntryIsReported(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.event(fsnotify.Create|fsnotify.Remove, "loop")
		r.expect(r.w.cfg.Debounce, "loop")
		r.event(fsnotify.Create|fsnotify.Write|fsnotify.Remove, "p.rego~") // a file, since it was written to, and irrelevant
		r.expectNothingFor(time.Second)
	})
}

func TestLostEventsCauseAScanAtOnce(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		write(t, filepath.Join(r.dir, "p.rego"), "22")
		write(t, filepath.Join(r.dir, "q.rego"), "1")
		r.kernel.errs <- fsnotify.ErrEventOverflow
		c := r.expect(wholeFileQuiet, "p.rego", "q.rego")
		if !c.Rescan || !strings.Contains(c.Reason, "overflow") || r.w.Health().Dropped != 1 {
			t.Errorf("%+v, %+v", c, r.w.Health())
		}
	})
}

func TestSafetyScanFindsChangesWithoutEvents(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		write(t, filepath.Join(r.dir, "q.rego"), "1")
		if c := r.expect(DefaultSafetyInterval+DefaultDebounce, "q.rego"); !c.Polled || c.Rescan {
			t.Errorf("%+v, want it found by a scan", c)
		}
	})
}

func TestFullCheckIsRequested(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		if c := r.expect(DefaultFullCheckInterval); !c.Rescan || !c.Polled || c.Reason != "full check" {
			t.Errorf("%+v", c)
		}
	})
}

func TestPollsUntilEventsAreAvailable(t *testing.T) {
	tries := 0
	change := func(cfg *Config, w *Watcher) {
		cfg.SafetyInterval = time.Hour
		if w != nil {
			real := w.open
			w.open = func() (notifier, error) {
				if tries++; tries < 3 {
					return nil, limitError(syscall.EMFILE, "")
				}
				return real()
			}
		}
	}
	inBubble(t, change, func(r *rig) {
		h := r.w.Health()
		if h.Mode != ModePoll || !strings.Contains(h.Reason, "fs.inotify.max_user_instances") {
			t.Errorf("%+v, want poll, with the limit named", h)
		}
		write(t, filepath.Join(r.dir, "q.rego"), "1")
		if c := r.expect(DefaultPollInterval+DefaultDebounce, "q.rego"); !c.Polled {
			t.Errorf("%+v", c)
		}
		time.Sleep(2*reopenInterval + DefaultPollInterval)
		synctest.Wait()
		if h := r.w.Health(); h.Mode != ModeNotify || h.Reason != "" {
			t.Fatalf("%+v, want events again after %d tries", h, tries)
		}
		r.start = time.Now()
		write(t, filepath.Join(r.dir, "q.rego"), "2")
		r.event(fsnotify.Create, "q.rego")
		r.expect(wholeFileQuiet, "q.rego")
	})
}

func TestUnwatchableDirectoryIsPolledAndNamed(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		sub := filepath.Join(r.dir, "sub")
		r.kernel.refuse.Store(sub, syscall.ENOSPC)
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		r.event(fsnotify.Create, "sub")
		r.expect(wholeFileQuiet)
		h := r.w.Health()
		want := "inotify watch limit reached at " + sub + ": raise fs.inotify.max_user_watches"
		if h.Mode != ModePoll || !strings.Contains(h.Reason, want) {
			t.Errorf("%+v, want poll, the limit and the directory named", h)
		}
		write(t, filepath.Join(sub, "q.rego"), "1")
		c := <-r.out
		if !c.Polled || !slices.Equal(c.Paths, []string{"sub/q.rego"}) || time.Since(r.start) > 2*DefaultPollInterval {
			t.Errorf("%+v after %s", c, time.Since(r.start))
		}
		r.kernel.refuse.Delete(sub)
		time.Sleep(DefaultPollInterval)
		synctest.Wait()
		if h := r.w.Health(); h.Mode != ModeNotify || h.Reason != "" || h.Directories != 2 {
			t.Errorf("%+v, want events again", h)
		}
	})
}

func TestPollModeUsesNoEvents(t *testing.T) {
	inBubble(t, func(cfg *Config, w *Watcher) {
		cfg.Mode = ModePoll
		if w != nil {
			w.open = nil
		}
	}, func(r *rig) {
		write(t, filepath.Join(r.dir, "p.rego"), "22")
		r.expect(DefaultPollInterval+DefaultDebounce, "p.rego")
		h := r.w.Health()
		if h.Mode != ModePoll || h.Reason != "" || h.State != StateWatching || r.kernel.adds.Load() != 0 {
			t.Errorf("%+v", h)
		}
	})
}

func TestTreeLimitsAreReported(t *testing.T) {
	inBubble(t, func(cfg *Config, _ *Watcher) { cfg.MaxDepth = 1 }, func(r *rig) {
		if err := os.MkdirAll(filepath.Join(r.dir, "a/b/c"), 0o755); err != nil {
			t.Fatal(err)
		}
		r.event(fsnotify.Create, "a")
		r.expect(wholeFileQuiet)
		h := r.w.Health()
		if !strings.Contains(h.Reason, "a/b and its subdirectories are not watched") || h.Directories != 2 {
			t.Errorf("%+v", h)
		}
	})
}

func TestHealthIsStoppedAfterRun(t *testing.T) {
	var w *Watcher
	inBubble(t, nil, func(r *rig) { w = r.w })
	if h := w.Health(); h.State != StateStopped {
		t.Errorf("%+v", h)
	}
}

func TestInvalidConfigIsRefused(t *testing.T) {
	for _, cfg := range []Config{{}, {Root: "x", Mode: "sometimes"}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestAutoAndNotifyAreOneMode(t *testing.T) {
	for _, mode := range []Mode{"", ModeAuto, ModeNotify} {
		w, err := New(Config{Root: "x", Mode: mode})
		if err != nil || w.cfg.Mode != ModeNotify || w.open == nil {
			t.Errorf("%q: %+v, %v", mode, w, err)
		}
	}
}

func TestResolveFollowsLinks(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.MkdirAll(in("real/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"abs": in("real"), "rel": "abs/deep", "up": "rel/../deep", "loop": "loop", "gone": "nowhere/x",
	} {
		if err := os.Symlink(target, in(link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"real": "real", "abs": "real", "rel": "real/deep", "up": "real/deep", "abs/deep": "real/deep", "up/.": "real/deep",
	} {
		passed := anchors{}
		got, err := resolve(in(path), passed)
		if err != nil || got != in(want) {
			t.Errorf("%s leads to %s, %v, want %s", path, got, err, want)
		}
		if first, _, _ := strings.Cut(path, "/"); !passed[dir][first] {
			t.Errorf("%s: %s is not among the anchors: %v", path, first, passed)
		}
	}
	for _, path := range []string{"loop", "gone"} {
		if got, err := resolve(in(path), anchors{}); err == nil {
			t.Errorf("%s leads to %s, want an error", path, got)
		}
	}
	passed := anchors{}
	if _, err := resolve(in("gone"), passed); !errors.Is(err, os.ErrNotExist) || !passed[dir]["nowhere"] {
		t.Errorf("%v, %v, want the missing entry among the anchors", err, passed)
	}
}
