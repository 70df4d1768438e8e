package history_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/enginetest"
	"defenseclaw/engine/history"
)

// edited is a policy directory in memory that a test edits.
type edited struct {
	mu   sync.Mutex
	tree files
}

func edit(tree files) *edited { return &edited{tree: tree} }

func (s *edited) open() (fs.FS, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tree.fs(), nil
}

func (s *edited) set(tree files) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tree = tree
}

// runEngine gives an engine that runs until the test ends.
func runEngine(t *testing.T, cfg engine.Config) *engine.Engine {
	t.Helper()
	e := enginetest.New(t, cfg)
	inBackground(t, e.Run)
	return e
}

// inBackground runs something with a Run until the test ends, or stop is called.
func inBackground(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func newKeeper(t *testing.T, cfg history.KeeperConfig) *history.Keeper {
	t.Helper()
	k, err := history.NewKeeper(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

const good, better, bad = "package p\n\nx := 1\n", "package p\n\nx := 2\n", "package p\n\nx := := 3\n"

func reload(t *testing.T, e *engine.Engine, kind engine.TriggerKind) engine.Report {
	t.Helper()
	report, err := e.Reload(t.Context(), engine.Trigger{Kind: kind})
	if err != nil && report.Refused == nil {
		t.Fatal(err)
	}
	return report
}

func TestWhatServesIsKept(t *testing.T) {
	s := newStore(t, history.Config{})
	k := newKeeper(t, history.KeeperConfig{Store: s})
	inBackground(t, k.Run)
	src := edit(files{"p.rego": good})
	e := runEngine(t, engine.Config{Source: src.open, Announcements: []engine.Announcement{{Name: "history", Run: k.Announce}}})

	kept := func() bool { h := k.Health(); return h.Revision == e.Current().Revision() && !h.Pending }
	reload(t, e, engine.TriggerStartup)
	eventually(t, "the first generation is kept", kept)
	src.set(files{"p.rego": better})
	reload(t, e, engine.TriggerWatch)
	eventually(t, "the second generation is kept", kept)
	src.set(files{"p.rego": bad})
	if report := reload(t, e, engine.TriggerWatch); report.Result != engine.Failed {
		t.Fatal(report.Result)
	}
	reload(t, e, engine.TriggerAPI)

	all := entries(t, s)
	if len(all) != 2 {
		t.Fatalf("%d entries; want 2", len(all))
	}
	found, err := s.Newest(t.Context(), nil)
	h := k.Health()
	if err != nil || found.Info.Revision != e.Current().Revision() || h.Entry != found.Entry || h.Generation != 2 || h.Err != nil {
		t.Errorf("newest %+v, %v; health %+v", found.Info, err, h)
	}
}

func TestEveryGenerationOfABurstIsSaved(t *testing.T) {
	s := newStore(t, history.Config{})
	k := newKeeper(t, history.KeeperConfig{Store: s})
	var want []string
	for n := range 5 {
		g := version(t, n)
		want = append([]string{g.Revision()}, want...)
		if err := k.Announce(t.Context(), engine.Report{Generation: g}); err != nil {
			t.Fatal(err)
		}
	}
	if h := k.Health(); !h.Pending || h.Entry.Name != "" {
		t.Errorf("%+v before Run", h)
	}
	inBackground(t, k.Run)
	if err := k.Noted(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := s.Records()
	if err != nil || len(all) != 5 {
		t.Fatalf("%d records, %v", len(all), err)
	}
	for i, r := range all {
		if r.Seq != uint64(5-i) || r.Revision != want[i] || !r.Kept {
			t.Errorf("record %+v; want number %d, %s, kept or waiting for it", r, 5-i, want[i])
		}
	}
	eventually(t, "all are kept", func() bool { return !k.Health().Pending })
	if got := revisions(t, entries(t, s)); !slices.Equal(got, want) {
		t.Errorf("kept %v; want %v", got, want)
	}
	if h := k.Health(); h.Seq != 5 || h.Revision != want[0] {
		t.Errorf("%+v; want the newest", h)
	}
}

func TestABurstThatIsTooLongGivesUpWhatServedShortest(t *testing.T) {
	s := newStore(t, history.Config{Keep: 100})
	k := newKeeper(t, history.KeeperConfig{Store: s})
	at := time.Now()
	for n := range history.MaxWaiting + 4 {
		if n == 3 {
			at = at.Add(time.Hour) // the third served for that long
		}
		at = at.Add(time.Millisecond)
		if err := k.Announce(t.Context(), engine.Report{Generation: version(t, n), StartedAt: at}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Run(ctx); err != nil { // notes all of them before it saves the first
		t.Fatal(err)
	}
	all, err := s.Records()
	if err != nil || len(all) != history.MaxWaiting+4 {
		t.Fatalf("%d records, %v; want one of each", len(all), err)
	}
	if !all[0].Kept || !all[len(all)-3].Kept {
		t.Errorf("the newest is kept: %v, the one that served an hour: %v", all[0].Kept, all[len(all)-3].Kept)
	}
	if got := entries(t, s); len(got) != history.MaxWaiting {
		t.Errorf("%d entries", len(got))
	}
}

func TestWhatIsPendingIsSavedBeforeRunReturns(t *testing.T) {
	s := newStore(t, history.Config{})
	k := newKeeper(t, history.KeeperConfig{Store: s})
	g := version(t, 1)
	if err := k.Announce(t.Context(), engine.Report{Generation: g}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := revisions(t, entries(t, s)); len(got) != 1 || got[0] != g.Revision() {
		t.Errorf("kept %v", got)
	}
	if err := k.Announce(t.Context(), engine.Report{Generation: g}); err != nil {
		t.Errorf("what is saved already: %v", err)
	}
	if err := k.Announce(t.Context(), engine.Report{Generation: version(t, 2)}); err == nil {
		t.Error("a generation that will not be saved is accepted")
	}
}

func TestTheLastSaveIsBounded(t *testing.T) {
	s := newStore(t, history.Config{})
	k := newKeeper(t, history.KeeperConfig{Store: s, Flush: time.Nanosecond})
	if err := k.Announce(t.Context(), engine.Report{Generation: version(t, 1)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if h := k.Health(); !errors.Is(h.Err, context.DeadlineExceeded) || !h.Pending || h.Failures != 1 {
		t.Errorf("%+v", h)
	}
	if _, err := os.Stat(s.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}
}

func TestABrokenDiskFailsNoReloadAndIsRetried(t *testing.T) {
	dir := t.TempDir()
	inTheWay := filepath.Join(dir, "data")
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, history.Config{Dir: filepath.Join(inTheWay, "history")})
		k := newKeeper(t, history.KeeperConfig{Store: s, Retry: time.Minute})
		inBackground(t, k.Run)
		e := runEngine(t, engine.Config{
			Source: edit(files{"p.rego": good}).open, Announcements: []engine.Announcement{{Name: "history", Run: k.Announce}},
		})
		report := reload(t, e, engine.TriggerStartup)
		if report.Result != engine.Success || report.Outcome("history") != nil {
			t.Fatalf("%s, %v", report.Result, report.Outcome("history"))
		}
		synctest.Wait()
		h := k.Health()
		if h.Err == nil || !strings.Contains(h.Err.Error(), "not a directory") || !h.Pending || h.Failures != 1 {
			t.Fatalf("%+v", h)
		}
		time.Sleep(90 * time.Second)
		if h := k.Health(); h.Failures != 2 {
			t.Errorf("%d failures after a minute and a half; want another attempt", h.Failures)
		}
		if err := os.Remove(inTheWay); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if h := k.Health(); h.Err != nil || h.Pending || h.Revision != e.Current().Revision() || h.FailedAt.IsZero() {
			t.Errorf("%+v after the repair", h)
		}
		if len(entries(t, s)) != 1 {
			t.Error("nothing is kept")
		}
	})
}

func TestAReloadRetriesTheSaveAtOnce(t *testing.T) {
	inTheWay := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k := newKeeper(t, history.KeeperConfig{Store: newStore(t, history.Config{Dir: filepath.Join(inTheWay, "history")}), Retry: time.Hour})
	inBackground(t, k.Run)
	e := runEngine(t, engine.Config{
		Source: edit(files{"p.rego": good}).open, Announcements: []engine.Announcement{{Name: "history", Run: k.Announce}},
	})
	reload(t, e, engine.TriggerStartup)
	eventually(t, "the disk is found broken", func() bool { return k.Health().Err != nil })
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	if report := reload(t, e, engine.TriggerAPI); report.Result != engine.Unchanged {
		t.Fatal(report.Result)
	}
	eventually(t, "it is kept", func() bool { h := k.Health(); return h.Err == nil && !h.Pending })
}

// The whole of "a last good that survives a restart": two runs of a process on one data directory.
func TestTheLastGoodOfAnEarlierRunIsRestored(t *testing.T) {
	dir := t.TempDir()
	src := edit(files{"p.rego": good})
	begin := func() (e *engine.Engine, s *history.Store, k *history.Keeper, stop func()) {
		s = newStore(t, history.Config{Dir: dir})
		k = newKeeper(t, history.KeeperConfig{Store: s})
		stopKeeper := inBackground(t, k.Run)
		e = enginetest.New(t, engine.Config{Source: src.open, Announcements: []engine.Announcement{{Name: "history", Run: k.Announce}}})
		stopEngine := inBackground(t, e.Run)
		return e, s, k, func() { stopEngine(); stopKeeper() }
	}
	e, s, _, stop := begin()
	reload(t, e, engine.TriggerStartup)
	eventually(t, "the first is kept", func() bool { return len(entries(t, s)) == 1 })
	src.set(files{"p.rego": better})
	reload(t, e, engine.TriggerAPI)
	served := whole(t, e.Current())
	stop()

	src.set(files{"p.rego": bad})
	e, s, k, stop := begin()
	if report := reload(t, e, engine.TriggerStartup); report.Result != engine.Failed {
		t.Fatal(report.Result)
	}
	found, err := s.Newest(t.Context(), func(f history.Found) error {
		_, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerStartup, Source: f.FS})
		return err
	})
	if err != nil || len(found.Skipped) != 0 {
		t.Fatalf("%v, skipped %v", err, found.Skipped)
	}
	status := e.Status()
	if status.State != engine.StateRestored || status.Refused == nil || whole(t, e.Current()).Compare(served) != 0 {
		t.Fatalf("state %s, %v", status.State, status.Refused)
	}
	eventually(t, "the restored one is known to be kept", func() bool { h := k.Health(); return h.Entry == found.Entry && !h.Pending })
	src.set(files{"p.rego": "package p\n\nx := 3\n"})
	reload(t, e, engine.TriggerWatch)
	if e.Status().State != engine.StateCurrent {
		t.Errorf("state %s after the repair", e.Status().State)
	}
	stop()
	if n := len(entries(t, s)); n != 3 {
		t.Errorf("%d entries; want 3: the restored one is not kept twice", n)
	}
}

func TestAConfigThatCannotWorkIsRefused(t *testing.T) {
	for _, cfg := range []history.Config{{}, {Dir: "x", Keep: -1}, {Dir: "x", MaxBytes: -1}, {Dir: "x", MaxFiles: -1}} {
		if _, err := history.New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
	if _, err := history.NewKeeper(history.KeeperConfig{}); err == nil {
		t.Error("a keeper without a store is taken")
	}
	if _, err := newStore(t, history.Config{}).Newest(t.Context(), nil); !errors.Is(err, history.ErrNone) {
		t.Errorf("%v; want ErrNone", err)
	}
	if s := fmt.Sprint(entries(t, newStore(t, history.Config{}))); s != "[]" {
		t.Errorf("a directory that is not there has %s", s)
	}
}
