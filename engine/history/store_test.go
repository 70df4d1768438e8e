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
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

func TestTheNewestAreKept(t *testing.T) {
	s := newStore(t, history.Config{Keep: 4})
	var want []string
	for n := range 9 {
		g := version(t, n)
		save(t, s, g)
		want = append([]string{g.Revision()}, want...)
		got := revisions(t, entries(t, s))
		if len(got) != min(n+1, 4) {
			t.Fatalf("after %d saves: %d entries", n+1, len(got))
		}
		if half := min(n+1, 2); !slices.Equal(got[:half], want[:half]) {
			t.Fatalf("after %d saves: %v; want %v first", n+1, got, want[:half])
		}
	}
	if got := names(t, s.Dir()); len(got) != 4 {
		t.Errorf("the directory holds %v", got)
	}
}

func TestTwentyAreKeptByDefault(t *testing.T) {
	s := newStore(t, history.Config{})
	for n := range 22 {
		save(t, s, version(t, n))
	}
	if got := entries(t, s); len(got) != 20 {
		t.Errorf("%d entries", len(got))
	}
}

func TestTheSameRevisionIsNotKeptTwiceInARow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history")
	first := save(t, newStore(t, history.Config{Dir: dir}), version(t, 1))
	before, err := os.Stat(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, history.Config{Dir: dir}) // another run of the program
	for range 2 {
		again := save(t, s, version(t, 1))
		after, err := os.Stat(again.Path)
		if err != nil || again != first || !os.SameFile(before, after) {
			t.Fatalf("%+v, %v; want %+v as it is", again, err, first)
		}
	}
	save(t, s, version(t, 2))
	save(t, s, version(t, 1))
	want := []string{version(t, 1).Revision(), version(t, 2).Revision(), version(t, 1).Revision()}
	if got := revisions(t, entries(t, s)); !slices.Equal(got, want) {
		t.Errorf("%v; want %v: a return to earlier content is an event of its own", got, want)
	}
}

func TestTheSameFilesInAnotherFolderAreAnotherEntry(t *testing.T) {
	s := newStore(t, history.Config{})
	flat, nested := load(t, files{"p.rego": good}.fs()), load(t, files{"rego/p.rego": good}.fs())
	if flat.Revision() != nested.Revision() {
		t.Fatal("the two are to have one revision")
	}
	save(t, s, flat)
	save(t, s, nested)
	found, err := s.Newest(t.Context(), nil)
	if err != nil || found.Info.Root != "rego" {
		t.Errorf("%+v, %v", found.Info, err)
	}
}

func TestANewestEntryThatIsDamagedIsWrittenAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history")
	g := version(t, 1)
	damaged := save(t, newStore(t, history.Config{Dir: dir}), g)
	if err := os.Truncate(damaged.Path, 100); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, history.Config{Dir: dir}) // another run of the program
	sound := save(t, s, g)
	if sound.Name <= damaged.Name {
		t.Fatalf("%s does not sort after the damaged %s", sound.Name, damaged.Name)
	}
	found, err := s.Newest(t.Context(), nil)
	if err != nil || found.Entry != sound || len(found.Skipped) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestDamageAfterTheSaveIsSeenByTheNextSave(t *testing.T) {
	s := newStore(t, history.Config{})
	g := version(t, 1)
	e := save(t, s, g)
	if err := os.Truncate(e.Path, 100); err != nil {
		t.Fatal(err)
	}
	if again := save(t, s, g); again == e {
		t.Error("the damaged entry passes for sound")
	}
}

func TestDamagedEntriesStayAndReplaceNoSoundOne(t *testing.T) {
	s := newStore(t, history.Config{Keep: 2})
	oldest := save(t, s, version(t, 1))
	var damaged []string
	for n := range 3 {
		e := save(t, s, version(t, 10+n))
		if err := os.WriteFile(e.Path, []byte("not an archive"), 0o600); err != nil {
			t.Fatal(err)
		}
		damaged = append(damaged, e.Name)
	}
	newest := save(t, s, version(t, 2))
	kept := names(t, s.Dir())
	want := []string{oldest.Name, damaged[1], damaged[2], newest.Name}
	if !slices.Equal(kept, want) {
		t.Errorf("kept %v; want %v: two sound ones, and no more than two damaged", kept, want)
	}
	save(t, s, version(t, 3))
	save(t, s, version(t, 4))
	if kept := entries(t, s); len(kept) != 2 {
		t.Errorf("%v; want damaged ones to go with the sound ones of their age", kept)
	}
}

func TestNamesSortByAgeWhateverTheClockDoes(t *testing.T) {
	s := newStore(t, history.Config{Keep: 2})
	e := save(t, s, version(t, 1))
	future := filepath.Join(s.Dir(), "20990101T000000.000000Z"+e.Name[strings.LastIndex(e.Name, "-"):])
	if err := os.Rename(e.Path, future); err != nil {
		t.Fatal(err)
	}
	for n := 2; n < 5; n++ {
		g := version(t, n)
		e := save(t, s, g)
		found, err := s.Newest(t.Context(), nil)
		if err != nil || found.Entry.Name != e.Name || found.Info.Revision != g.Revision() {
			t.Fatalf("newest is %+v, %v; want what was saved last, %s", found.Entry, err, e.Name)
		}
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	s := newStore(t, history.Config{Keep: 1})
	save(t, s, version(t, 1))
	foreign := []string{
		"README", "backup.tar.gz", ".hidden", "20260101T000000.000000Z-0123456789ab.tar.gz.bak",
		"20260101T000000.000000Z-0123456789aX.tar.gz", "20260101T000000,000000Z-0123456789ab.tar.gz",
		"20261301T000000.000000Z-0123456789ab.tar.gz", "20260101T000000.000000Z-0123456789ab.tgz",
	}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(s.Dir(), name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder := "20260101T000000.000000Z-0123456789ab.tar.gz"
	if err := os.MkdirAll(filepath.Join(s.Dir(), folder, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		save(t, s, version(t, n))
	}
	left := names(t, s.Dir())
	for _, name := range append(foreign, folder) {
		if !slices.Contains(left, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if all := entries(t, s); len(all) != 2 || all[1].Name != folder {
		t.Errorf("entries %v", all)
	}
}

func TestWhatAKilledSaveLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	leave := func() {
		if err := os.WriteFile(filepath.Join(dir, ".saving-123"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := newStore(t, history.Config{Dir: dir})
	leave()
	if all := entries(t, s); len(all) != 0 {
		t.Errorf("entries %v", all)
	}
	e := save(t, s, version(t, 1))
	if got := names(t, dir); !slices.Equal(got, []string{e.Name}) {
		t.Errorf("after a save: %v", got)
	}
	leave()
	k := newKeeper(t, history.KeeperConfig{Store: newStore(t, history.Config{Dir: dir})})
	inBackground(t, k.Run)
	eventually(t, "the next start removes it", func() bool { return len(names(t, dir)) == 1 })
}

func TestNewestGoesOnToTheEntryThatIsAccepted(t *testing.T) {
	s := newStore(t, history.Config{})
	for n := range 4 {
		save(t, s, version(t, n))
	}
	all := entries(t, s)
	if err := os.WriteFile(all[1].Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	no := fmt.Errorf("not on a Friday: %w", fs.ErrNotExist) // which tells nothing of the entry's own file
	accept := func(f history.Found) error {
		g, err := engine.Load(t.Context(), f.FS, nil)
		if err != nil {
			return err
		}
		if g.Revision() != f.Info.Revision {
			t.Errorf("revision %s; want %s", g.Revision(), f.Info.Revision)
		}
		if f.Entry == all[0] {
			return no
		}
		return nil
	}
	found, err := s.Newest(t.Context(), accept)
	if err != nil || found.Entry != all[2] {
		t.Fatalf("%+v, %v; want %s", found.Entry, err, all[2].Name)
	}
	if len(found.Skipped) != 2 || found.Skipped[0].Entry != all[0] || !errors.Is(found.Skipped[0].Err, no) ||
		found.Skipped[1].Entry != all[1] || !errors.Is(found.Skipped[1].Err, history.ErrDamaged) {
		t.Errorf("skipped %v", found.Skipped)
	}

	found, err = s.Newest(t.Context(), func(history.Found) error { return no })
	if !errors.Is(err, history.ErrNone) || !errors.Is(err, no) || !errors.Is(err, history.ErrDamaged) || len(found.Skipped) != 4 {
		t.Errorf("%v, skipped %v; want every reason", err, found.Skipped)
	}
	for _, e := range all {
		if !strings.Contains(err.Error(), e.Name) {
			t.Errorf("%v does not name %s", err, e.Name)
		}
	}
}

func TestACancelledSaveLeavesNothingBehind(t *testing.T) {
	s := newStore(t, history.Config{})
	e := save(t, s, version(t, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Save(ctx, version(t, 2)); !errors.Is(err, context.Canceled) {
		t.Errorf("Save: %v", err)
	}
	if _, err := s.Newest(ctx, nil); !errors.Is(err, context.Canceled) || errors.Is(err, history.ErrNone) {
		t.Errorf("Newest: %v", err)
	}
	if got := names(t, s.Dir()); !slices.Equal(got, []string{e.Name}) {
		t.Errorf("left %v", got)
	}
}

func TestAnEntryOverTheLimitsIsRefusedNotDamaged(t *testing.T) {
	dir := t.TempDir()
	big := load(t, corpus(20, 1).fs())
	for name, cfg := range map[string]history.Config{
		"bytes": {Dir: dir, MaxBytes: 8 << 10}, "files": {Dir: dir, MaxFiles: 10},
	} {
		small := newStore(t, cfg)
		if _, err := small.Save(t.Context(), big); err == nil || errors.Is(err, history.ErrDamaged) {
			t.Errorf("%s: Save: %v", name, err)
		}
		if got := names(t, dir); len(got) != 0 {
			t.Errorf("%s: left %v", name, got)
		}
		e := save(t, newStore(t, history.Config{Dir: dir}), big)
		found, err := small.Newest(t.Context(), nil)
		if !errors.Is(err, history.ErrNone) || errors.Is(err, history.ErrDamaged) || len(found.Skipped) != 1 {
			t.Errorf("%s: Newest: %v", name, err)
		}
		if err := os.Remove(e.Path); err != nil {
			t.Fatal(err)
		}
	}
	exact := newStore(t, history.Config{Dir: dir, MaxFiles: 22}) // 20 modules, data, manifest
	save(t, exact, big)
}

func TestAReaderSeesOnlyWholeEntriesWhileOthersAreSaved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history")
	saver, reader := newStore(t, history.Config{Dir: dir, Keep: 2}), newStore(t, history.Config{Dir: dir})
	a, b := load(t, corpus(30, 1).fs()), load(t, corpus(30, 2).fs())
	save(t, saver, a)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	reads := 0
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			all, err := reader.Entries()
			if err != nil || len(all) == 0 {
				t.Errorf("%d entries, %v", len(all), err)
				return
			}
			for _, e := range all {
				if _, err := e.FS(t.Context()); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", e.Name, err)
					return
				}
				reads++
			}
		}
	})
	for range 20 {
		save(t, saver, b)
		save(t, saver, a)
	}
	close(stop)
	wg.Wait()
	t.Logf("%d reads", reads)
}

func TestAnEntrysTimeIsWhenItsGenerationBegan(t *testing.T) {
	e := runEngine(t, engine.Config{Source: edit(files{"p.rego": good}).open})
	reload(t, e, engine.TriggerStartup)
	entry := save(t, newStore(t, history.Config{}), e.Current())
	if want := e.Current().LoadedAt().UTC().Truncate(time.Microsecond); !entry.Time.Equal(want) {
		t.Errorf("%s; want %s", entry.Time, want)
	}
}
