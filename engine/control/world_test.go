package control_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"defenseclaw/engine"
	"defenseclaw/engine/control"
	"defenseclaw/engine/enginetest"
	"defenseclaw/engine/history"
	"defenseclaw/engine/source"
)

// world is a policy directory, a data directory, and a process that serves from them. It lives in a bubble of synctest,
// so that days of deadlines pass in no time.
type world struct {
	t    testing.TB
	dir  string // of the policy
	data string
	settings
	strict bool

	reviewed bool
	review   func(context.Context, engine.Step) (engine.Verdict, error)

	engine  *engine.Engine
	control *control.Governor
	history *history.Store
	told    []control.Change
	warned  []string
	stop    func()
}

func newWorld(t testing.TB) *world {
	top := t.TempDir()
	w := &world{t: t, dir: filepath.Join(top, "pol"), data: filepath.Join(top, "data")}
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return w
}

func text(n int) string { return fmt.Sprintf("package p\nx := %d\n", n) }

const broken = "package p\nx :="

// write is what the user does: nothing else may change the file.
func (w *world) write(content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "p.rego"), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// start is the start of a process: the sidecar does the same.
func (w *world) start(now ...settings) {
	w.t.Helper()
	for _, s := range now {
		w.settings, w.strict, w.reviewed, w.review = s, s.guarded(), s.findings, nil
		if s.findings {
			w.review = findings
		}
	}
	var err error
	if w.history, err = history.New(history.Config{Dir: filepath.Join(w.data, "history")}); err != nil {
		w.t.Fatal(err)
	}
	w.control, err = control.Open(control.Config{
		Path: filepath.Join(w.data, "control", "pol.json"), History: w.history, Hold: w.hold, Strict: w.strict, Confirm: w.confirm, MaxStale: w.stale,
		Reviewed: w.reviewed,
		Tell:     func(_ context.Context, c control.Change) error { w.told = append(w.told, c); return nil },
		Warn:     func(message string, err error) { w.warned = append(w.warned, fmt.Sprintf("%s: %v", message, err)) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.history.Protect(w.control.Protected)
	w.engine = enginetest.New(w.t, engine.Config{
		Source: func() (fs.FS, error) { return source.Open(w.dir, source.Config{}) }, Govern: w.control.Govern, Review: w.review, Settle: 1,
		Announcements: []engine.Announcement{{Name: "history", Run: func(ctx context.Context, r engine.Report) error {
			if r.Result != engine.Success {
				return nil
			}
			_, err := w.history.SaveServed(ctx, history.Served{Generation: r.Generation, Previous: r.Previous})
			return err
		}}},
	})
	w.control.Attach(w.engine)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- w.engine.Run(ctx) }()
	governs := w.control.Begin(ctx, nil)
	w.reload(engine.Trigger{Kind: engine.TriggerStartup})
	if !governs && w.engine.Current() == nil {
		_, _ = w.history.Newest(ctx, func(f history.Found) error {
			_, err := w.engine.Reload(ctx, engine.Trigger{Kind: engine.TriggerStartup, Source: f.FS})
			return err
		}) // an empty history is what some tests want
	}
	controlCtx, cancelControl := context.WithCancel(ctx)
	go func() { done <- w.control.Run(controlCtx) }()
	w.stop = func() {
		cancelControl()
		errs := []error{<-done}
		cancel()
		if err := errors.Join(append(errs, <-done)...); err != nil {
			w.t.Error(err)
		}
	}
}

// kill ends the process without any of its last words: what it writes while it ends is lost.
func (w *world) kill() {
	w.t.Helper()
	synctest.Wait()
	kept := filepath.Join(w.t.TempDir(), "data")
	if err := os.CopyFS(kept, os.DirFS(w.data)); err != nil {
		w.t.Fatal(err)
	}
	w.stop()
	w.data = kept
}

func (w *world) reload(t engine.Trigger) engine.Report {
	w.t.Helper()
	report, err := w.engine.Reload(context.Background(), t)
	var refused *engine.Refused
	if err != nil && !errors.As(err, &refused) {
		w.t.Fatal(err)
	}
	return report
}

// edit saves a version, which the watch notices.
func (w *world) edit(content string) engine.Report {
	w.write(content)
	return w.reload(engine.Trigger{Kind: engine.TriggerWatch, Paths: []string{"p.rego"}})
}

func (w *world) serving() string {
	if g := w.engine.Current(); g != nil {
		return g.Revision()
	}
	return ""
}

// serves fails unless the version serves.
func (w *world) serves(n int) {
	w.t.Helper()
	if got, want := w.serving(), revision(w.t, text(n)); got != want {
		w.t.Fatalf("%s serves; %d, %s was expected; control %+v", got, n, want, w.control.Status())
	}
}

func (w *world) mode(want control.Mode) control.Status {
	w.t.Helper()
	now := w.control.Status()
	if now.Mode() != want {
		w.t.Fatalf("the mode is %s; %s was expected: %+v", now.Mode(), want, now)
	}
	return now
}

// revision is that of a directory with this file.
func revision(t testing.TB, content string) string {
	t.Helper()
	g, err := engine.Load(context.Background(), fstest.MapFS{"p.rego": &fstest.MapFile{Data: []byte(content)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g.Revision()
}

var ann = control.Order{Actor: "ann", Reason: "because"}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
