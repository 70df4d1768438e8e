package engine_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/enginetest"
)

// editable is a policy directory in memory that a test edits, and can make slow.
type editable struct {
	mu    sync.Mutex
	files fstest.MapFS
	err   error
	opens atomic.Int64
	gate  func() // called before each opening; may be nil
}

func (s *editable) open() (fs.FS, error) {
	s.opens.Add(1)
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		gate()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files, s.err
}

func (s *editable) set(files tree) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = files.fs()
}

func (s *editable) setGate(gate func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = gate
}

// run gives an engine that runs until the test ends, inside a synctest bubble or outside.
func run(t *testing.T, cfg engine.Config) *engine.Engine {
	t.Helper()
	e := enginetest.New(t, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return e
}

func reload(t *testing.T, e *engine.Engine, kind engine.TriggerKind, paths ...string) engine.Report {
	t.Helper()
	report, err := e.Reload(t.Context(), engine.Trigger{Kind: kind, Paths: paths})
	if err != nil && report.Refused == nil {
		t.Fatal(err)
	}
	return report
}

const good, better, bad = "package p\nx := 1", "package p\nx := 2", "package p\nx := := 3\ny := 1"

func TestARefusedEditLeavesTheLastGoodServing(t *testing.T) {
	src := &editable{files: tree{"p.rego": good}.fs()}
	e := run(t, engine.Config{Source: src.open})
	reload(t, e, engine.TriggerStartup)
	first := e.Current()

	src.set(tree{"p.rego": bad})
	report := reload(t, e, engine.TriggerWatch, "p.rego")
	if report.Result != engine.Failed || e.Current() != first || e.Status().State != engine.StateStale {
		t.Fatalf("%s, state %s", report.Result, e.Status().State)
	}
	if d := report.Refused.Diagnostics[0]; d.File != "p.rego" || d.Line != 2 || d.Text != "x := := 3" {
		t.Errorf("diagnostic %+v", d)
	}

	src.set(tree{"p.rego": good}) // identical bytes restored
	report = reload(t, e, engine.TriggerWatch, "p.rego")
	if report.Result != engine.Unchanged || !report.Healed || e.Current() != first || e.Status().State != engine.StateCurrent {
		t.Errorf("%s, healed %v, state %s", report.Result, report.Healed, e.Status().State)
	}
}

func TestFailFailGoodAppliesTheGoodOne(t *testing.T) {
	src := &editable{files: tree{"p.rego": good}.fs()}
	e := run(t, engine.Config{Source: src.open})
	reload(t, e, engine.TriggerStartup)
	for _, step := range []struct {
		files tree
		want  engine.Result
	}{
		{tree{"p.rego": bad}, engine.Failed},
		{tree{"p.rego": bad + "\nz := 1"}, engine.Failed},
		{tree{"p.rego": bad, "a.rego": "package a\nx := 1", "b.rego": "package b\nx := 1"}, engine.Failed},
		{tree{"p.rego": better}, engine.Success},
	} {
		src.set(step.files)
		if got := reload(t, e, engine.TriggerAPI).Result; got != step.want {
			t.Fatalf("%v: %s; want %s", step.files, got, step.want)
		}
	}
	if g := e.Current(); g.Number() != 2 || answer(t, g, "p/x") != "2" {
		t.Errorf("generation %d", g.Number())
	}
}

func TestAStormCostsTheRunningAttemptAndOneSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &editable{files: tree{"p.rego": good}.fs()}
		src.setGate(func() { time.Sleep(time.Second) }) // fake time: every attempt is slow
		e := run(t, engine.Config{Source: src.open})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerAPI}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := src.opens.Load(); n > 2 {
			t.Errorf("100 requests at once made %d attempts; want at most 2", n)
		}
	})
}

func TestAnAnswerSpeaksOfFilesReadAfterTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &editable{files: tree{"p.rego": good}.fs()}
		e := run(t, engine.Config{Source: func() (fs.FS, error) {
			held, err := src.open() // what the directory held when reading began
			time.Sleep(time.Second)
			return held, err
		}})
		go func() { _, _ = e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerAPI}) }()
		synctest.Wait() // the attempt has read and is slow
		src.set(tree{"p.rego": better})
		report := reload(t, e, engine.TriggerAPI)
		if got := answer(t, report.Generation, "p/x"); got != "2" {
			t.Errorf("the answer speaks of x = %s; want 2, which was on disk when it was asked", got)
		}
	})
}

func TestAHalfWrittenFileIsWaitedForBeforeItCountsAsBroken(t *testing.T) {
	for name, torn := range map[string]tree{
		"empty module":  {"p.rego": ""},
		"half a module": {"p.rego": "package p\nx := {"},
		"half a JSON":   {"p.rego": good, "data.json": `{"a": [1, `},
		"empty JSON":    {"p.rego": good, "data.json": ""},
		"white space":   {"p.rego": "\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &editable{files: tree{"p.rego": good}.fs()}
				announced := 0
				e := run(t, engine.Config{Source: src.open, Announcements: []engine.Announcement{{
					Name: "count", Run: func(context.Context, engine.Report) error { announced++; return nil },
				}}})
				reload(t, e, engine.TriggerStartup)

				src.set(torn)
				go func() {
					time.Sleep(100 * time.Millisecond)
					src.set(tree{"p.rego": better})
				}()
				report := reload(t, e, engine.TriggerWatch, "p.rego")
				if report.Result != engine.Success || announced != 2 {
					t.Errorf("%s (%v) after %d announcements; want one success", report.Result, report.Refused, announced)
				}

				src.set(torn) // and it stays so
				start := time.Now()
				report = reload(t, e, engine.TriggerWatch, "p.rego")
				if waited := time.Since(start); report.Result != engine.Failed || waited < 500*time.Millisecond || waited > time.Second {
					t.Errorf("%s after %s; want a failure after Settle", report.Result, waited)
				}
				start = time.Now()
				if report = reload(t, e, engine.TriggerAPI); report.Result != engine.Failed || time.Since(start) != 0 {
					t.Errorf("%s after %s; want an answer at once", report.Result, time.Since(start))
				}
			})
		})
	}
}

func TestAnAttemptPastItsDeadlineIsLeftAndTheNextIsNotBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &editable{files: tree{"p.rego": good}.fs()}
		e := run(t, engine.Config{Source: src.open, Timeout: time.Second})
		reload(t, e, engine.TriggerStartup)
		first := e.Current()

		release := make(chan struct{})
		src.set(tree{"p.rego": better})
		src.setGate(func() { <-release }) // a hung file system
		report := reload(t, e, engine.TriggerAPI)
		if report.Refused == nil || report.Refused.Stage != engine.StageDeadline || e.Current() != first {
			t.Fatalf("%+v", report.Refused)
		}
		src.setGate(nil)
		if report := reload(t, e, engine.TriggerAPI); report.Result != engine.Success {
			t.Errorf("%s: %v", report.Result, report.Refused)
		}
		close(release)
	})
}

func TestAPanicIsARefusal(t *testing.T) {
	src := &editable{files: tree{"p.rego": good}.fs()}
	crash := false
	e := run(t, engine.Config{Source: src.open, Checks: []engine.Check{{
		Name: "crash", Run: func(context.Context, *engine.Generation, *engine.Generation) error {
			if crash {
				panic("boom")
			}
			return nil
		},
	}}})
	reload(t, e, engine.TriggerStartup)
	first := e.Current()
	crash = true
	src.set(tree{"p.rego": better})
	report := reload(t, e, engine.TriggerAPI)
	if report.Refused == nil || !strings.Contains(report.Refused.Error(), "boom") || e.Current() != first {
		t.Fatalf("%v", report.Refused)
	}
	src.setGate(func() { panic("open") })
	if report := reload(t, e, engine.TriggerAPI); report.Refused == nil || report.Refused.Stage != engine.StagePanic {
		t.Fatalf("%+v", report.Refused)
	}
	src.setGate(nil)
	crash = false
	if report := reload(t, e, engine.TriggerAPI); report.Result != engine.Success {
		t.Errorf("%s", report.Result)
	}
}

func TestACheckMayRefuse(t *testing.T) {
	src := &editable{files: tree{"p.rego": good}.fs()}
	no := errors.New("not on a Friday")
	e := run(t, engine.Config{Source: src.open, Checks: []engine.Check{{
		Name: "calendar", Run: func(_ context.Context, _, previous *engine.Generation) error {
			if previous != nil {
				return no
			}
			return nil
		},
	}}})
	reload(t, e, engine.TriggerStartup)
	src.set(tree{"p.rego": better})
	report, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerAPI})
	if !errors.Is(err, no) || report.Refused.Stage != engine.StageCheck || e.Current().Number() != 1 {
		t.Errorf("%v", err)
	}
}

func TestAnnouncementsFollowEveryAttemptThatHasSomethingToSay(t *testing.T) {
	src := &editable{files: tree{"p.rego": good}.fs()}
	var got []string
	tell := func(name string) engine.Announcement {
		return engine.Announcement{Name: name, Run: func(_ context.Context, r engine.Report) error {
			got = append(got, name+" "+string(r.Trigger.Kind)+" "+string(r.Result))
			return nil
		}}
	}
	e := run(t, engine.Config{Source: src.open, Announcements: []engine.Announcement{tell("1"), tell("2")}})
	step := func(want string, kind engine.TriggerKind, files tree, paths ...string) {
		t.Helper()
		src.set(files)
		got = nil
		reload(t, e, kind, paths...)
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("announced %q; want %q", text, want)
		}
	}
	step("1 startup success, 2 startup success", engine.TriggerStartup, tree{"p.rego": good})
	step("", engine.TriggerWatch, tree{"p.rego": good}, "p.rego")
	step("", engine.TriggerPoll, tree{"p.rego": good})
	step("1 api unchanged, 2 api unchanged", engine.TriggerAPI, tree{"p.rego": good})
	step("1 watch failed, 2 watch failed", engine.TriggerWatch, tree{"p.rego": bad}, "p.rego")
	step("", engine.TriggerPoll, tree{"p.rego": bad})
	step("", engine.TriggerWatch, tree{"p.rego": bad}, "p.rego")
	step("1 api failed, 2 api failed", engine.TriggerAPI, tree{"p.rego": bad})
	step("1 poll unchanged, 2 poll unchanged", engine.TriggerPoll, tree{"p.rego": good})
	step("1 watch success, 2 watch success", engine.TriggerWatch, tree{"p.rego": better}, "p.rego")
}

func TestAHungAnnouncementDelaysTheAnswerByItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &editable{files: tree{"p.rego": good}.fs()}
		release := make(chan struct{})
		e := run(t, engine.Config{Source: src.open, Announcements: []engine.Announcement{
			{Name: "hung", Timeout: time.Second, Run: func(context.Context, engine.Report) error { <-release; return nil }},
			{Name: "crash", Run: func(context.Context, engine.Report) error { panic("boom") }},
			{Name: "fine", Run: func(context.Context, engine.Report) error { return nil }},
		}})
		report := reload(t, e, engine.TriggerAPI)
		if report.Result != engine.Success || len(report.Outcomes) != 3 {
			t.Fatalf("%s, %v", report.Result, report.Outcomes)
		}
		if !errors.Is(report.Outcome("hung"), context.DeadlineExceeded) || report.Outcome("crash") == nil || report.Outcome("fine") != nil {
			t.Errorf("outcomes %v", report.Outcomes)
		}
		close(release)
	})
}

func TestARestoredGenerationServesUntilTheSourceIsSound(t *testing.T) {
	for name, healed := range map[string]tree{"same content": {"p.rego": good}, "new content": {"p.rego": better}} {
		t.Run(name, func(t *testing.T) {
			src := &editable{files: tree{"p.rego": bad}.fs()}
			e := run(t, engine.Config{Source: src.open})
			reload(t, e, engine.TriggerStartup)
			if e.Current() != nil || e.Status().State != engine.StateEmpty {
				t.Fatalf("state %s", e.Status().State)
			}
			if _, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerStartup, Source: tree{"p.rego": good}.fs()}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if s := e.Status(); s.State != engine.StateRestored || s.Refused == nil || s.Refused.Diagnostics[0].File != "p.rego" {
					t.Fatalf("state %s, %v", s.State, s.Refused)
				}
				reload(t, e, engine.TriggerWatch, "p.rego")
			}
			src.set(healed)
			reload(t, e, engine.TriggerWatch, "p.rego")
			if s := e.Status(); s.State != engine.StateCurrent || s.Refused != nil {
				t.Errorf("state %s", s.State)
			}
		})
	}
}

func TestPolicyAndDataAreNeverMixed(t *testing.T) {
	pair := func(n string) tree {
		return tree{"p.rego": "package p\nok if data.n == " + n, "data.json": `{"n": ` + n + `}`}
	}
	src := &editable{files: pair("1").fs()}
	e := run(t, engine.Config{Source: src.open})
	reload(t, e, engine.TriggerStartup)
	path, _ := engine.ParsePath("p/ok")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, defined, err := e.Current().Decide(context.Background(), path, nil); err != nil || !defined {
					t.Errorf("a decision saw policy and data of two generations: defined %v, %v", defined, err)
					return
				}
			}
		})
	}
	for i := range 1000 {
		src.set(pair([]string{"1", "2"}[i%2]))
		reload(t, e, engine.TriggerAPI)
	}
	close(stop)
	wg.Wait()
}

func TestReloadAfterTheEndSaysSo(t *testing.T) {
	src := &editable{files: tree{"p.rego": good}.fs()}
	e := enginetest.New(t, engine.Config{Source: src.open})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Reload(t.Context(), engine.Trigger{}); !errors.Is(err, engine.ErrStopped) {
		t.Errorf("%v; want ErrStopped", err)
	}
}

func TestNoDecisionWaitsForAReload(t *testing.T) {
	src := &editable{files: tree{"p.rego": good}.fs()}
	e := run(t, engine.Config{Source: src.open})
	reload(t, e, engine.TriggerStartup)
	entered, release := make(chan struct{}), make(chan struct{})
	src.set(tree{"p.rego": better})
	src.setGate(func() { close(entered); <-release })
	done := make(chan engine.Report)
	go func() {
		report, _ := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerAPI})
		done <- report
	}()
	<-entered // and the reload goes on for as long as this test likes
	for range 1000 {
		if got := answer(t, e.Current(), "p/x"); got != "1" {
			t.Fatalf("a decision during the reload answers %s", got)
		}
	}
	src.setGate(nil)
	close(release)
	if report := <-done; report.Result != engine.Success {
		t.Errorf("%s", report.Result)
	}
}
