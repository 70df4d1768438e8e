package history_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

func records(t testing.TB, s *history.Store) []history.Record {
	t.Helper()
	all, err := s.Records()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func seqs(all []history.Record) (found []uint64) {
	for _, r := range all {
		found = append(found, r.Seq)
	}
	return found
}

func TestNumbersGoOnOverRestartsAndAreNeverUsedTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history")
	first := newStore(t, history.Config{Dir: dir, Keep: 2})
	for n := range 4 {
		serve(t, first, n, time.Time{})
	}
	second := newStore(t, history.Config{Dir: dir, Keep: 2})
	serve(t, second, 3, time.Time{}) // a restart with what served
	if got := seqs(records(t, second)); !slices.Equal(got, []uint64{4, 3, 2, 1}) {
		t.Fatalf("numbers %v after a restart", got)
	}
	serve(t, second, 2, time.Time{})
	for _, e := range entries(t, second) { // all that is kept is lost
		if err := os.Remove(e.Path); err != nil {
			t.Fatal(err)
		}
	}
	third := newStore(t, history.Config{Dir: dir, Keep: 2})
	serve(t, third, 2, time.Time{})
	all := records(t, third)
	if got := seqs(all); !slices.Equal(got, []uint64{6, 5, 4, 3, 2, 1}) {
		t.Errorf("numbers %v", got)
	}
	for i, r := range all {
		if r.Kept != (i == 0) || (r.ServedUntil.IsZero()) != (i == 0) || r.Actor != "alice" || r.Trigger != "watch" {
			t.Errorf("%+v", r)
		}
	}
}

func TestARecordTellsWhatChanged(t *testing.T) {
	s := newStore(t, history.Config{Version: "v9"})
	k := newKeeper(t, history.KeeperConfig{Store: s, Actor: func(r engine.Report) string { return "by " + string(r.Trigger.Kind) }})
	stop := inBackground(t, k.Run)
	src := edit(files{"a.rego": "package a.b\n\nx := 1\n", "b.rego": "package c\n\nx := 1\n", "data.json": `{"n": 1}`})
	e := runEngine(t, engine.Config{Source: src.open, Announcements: []engine.Announcement{{Name: "history", Run: k.Announce}}})
	reload(t, e, engine.TriggerStartup)
	src.set(files{"a.rego": "package a.b\n\nx := 2\n", "data.json": `{"n": 1}`})
	reload(t, e, engine.TriggerSignal)
	if err := k.Noted(t.Context()); err != nil {
		t.Fatal(err)
	}
	served := e.Current()
	stop()
	all := records(t, newStore(t, history.Config{Dir: s.Dir()}))
	if len(all) != 2 {
		t.Fatalf("%d records", len(all))
	}
	r := all[0]
	if r.ServedFrom.Sub(served.LoadedAt()).Abs() > time.Minute || r.ServedUntil.Before(r.ServedFrom) || !all[1].ServedUntil.Equal(r.ServedFrom) {
		t.Errorf("it served from %s until %s, the one before until %s", r.ServedFrom, r.ServedUntil, all[1].ServedUntil)
	}
	var phases []string
	for _, p := range r.Phases {
		phases = append(phases, p.Name)
	}
	if !slices.Equal(phases, []string{"read", "parse", "compile", "check", "swap"}) || r.Phases[2].MS <= 0 {
		t.Errorf("the phases are %+v", r.Phases)
	}
	r.ServedFrom, r.ServedUntil, r.Phases = time.Time{}, time.Time{}, nil
	want := history.Record{
		Seq: 2, Revision: served.Revision(), Root: ".", Generation: 2, Version: "v9", Trigger: "signal", Actor: "by signal",
		Changed: []string{"a.rego", "b.rego"}, Packages: []string{"a.b", "c"}, File: entries(t, s)[0].Name, Kept: true,
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v; want %+v", r, want)
	}
}

func TestAnEntryIsFoundByNumberAndByRevision(t *testing.T) {
	s := newStore(t, history.Config{})
	for n := range 4 {
		serve(t, s, n%3, time.Time{}) // the fourth has the revision of the first
	}
	revision := version(t, 0).Revision()
	for ref, want := range map[string]uint64{"1": 1, "3": 3, revision: 4, revision[:20]: 4, revision[7:11]: 4} {
		if r := find(t, s, ref); r.Seq != want {
			t.Errorf("%s is %d; want %d", ref, r.Seq, want)
		}
	}
	for _, ref := range []string{"9", "0", "", "-1", "sha256:", revision[7:10], "sha256:" + strings.Repeat("0", 64), "latest"} {
		_, err := s.Find(ref)
		if !errors.Is(err, history.ErrNotFound) || !strings.Contains(err.Error(), "1 to 4") {
			t.Errorf("%q: %v", ref, err)
		}
	}
	found, err := s.Open(t.Context(), find(t, s, "2"))
	if err != nil || load(t, found.FS).Revision() != version(t, 1).Revision() {
		t.Errorf("%+v, %v", found, err)
	}
	if err := os.Remove(found.Entry.Path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), find(t, s, "2")); !errors.Is(err, history.ErrSwept) {
		t.Errorf("%v; want ErrSwept", err)
	}
	if err := os.Truncate(entries(t, s)[0].Path, 50); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), find(t, s, "4")); !errors.Is(err, history.ErrDamaged) {
		t.Errorf("%v; want ErrDamaged", err)
	}
}

func TestAPrefixOfSeveralRevisionsNamesThem(t *testing.T) {
	s := newStore(t, history.Config{Keep: 1})
	seen := map[string]int{}
	for n := range 2000 { // two of them begin alike in four digits
		short := version(t, n).Revision()[7:11]
		if other, ok := seen[short]; ok {
			serve(t, s, other, time.Time{})
			serve(t, s, n, time.Time{})
			_, err := s.Find(short)
			var ambiguous *history.AmbiguousError
			if !errors.As(err, &ambiguous) || len(ambiguous.Matches) != 2 ||
				!strings.Contains(err.Error(), version(t, n).Revision()) || !strings.Contains(err.Error(), version(t, other).Revision()) {
				t.Errorf("%v", err)
			}
			return
		}
		seen[short] = n
	}
	t.Fatal("no two revisions begin alike")
}

func TestAGenerationIsGivenBeforeItsEntryIsWritten(t *testing.T) {
	s := newStore(t, history.Config{})
	k := newKeeper(t, history.KeeperConfig{Store: s})
	inBackground(t, k.Run)
	for n := range 8 {
		if err := k.Announce(t.Context(), engine.Report{Generation: version(t, n)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Noted(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range records(t, s) { // those that are written, and those that wait
		found, err := s.Open(t.Context(), r)
		if err != nil || found.Info.Seq != r.Seq || load(t, found.FS).Revision() != r.Revision {
			t.Errorf("%d: %+v, %v", r.Seq, found.Info, err)
		}
	}
}

// damaged is what happened to an index, by name.
var damagedIndex = map[string]func([]byte) []byte{
	"a flipped bit":     func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
	"text":              func([]byte) []byte { return []byte("hello\n") },
	"a line is altered": func(b []byte) []byte { return []byte(strings.Replace(string(b), "alice", "mallory", 1)) },
	"not JSON":          func(b []byte) []byte { return append([]byte("\x00\x01\n"), b...) },
	"missing":           nil,
}

func TestADamagedIndexIsMadeAnewLoudly(t *testing.T) {
	for name, damage := range damagedIndex {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, history.Config{Keep: 4})
			for n := range 7 {
				serve(t, s, n, time.Time{})
			}
			index := filepath.Join(s.Dir(), "index.jsonl")
			if damage == nil {
				if err := os.Remove(index); err != nil {
					t.Fatal(err)
				}
			} else if text, err := os.ReadFile(index); err != nil || os.WriteFile(index, damage(text), 0o600) != nil {
				t.Fatal(err)
			}
			want := map[string]uint64{}
			for _, e := range entries(t, s) {
				info, err := e.Info()
				if err != nil {
					t.Fatal(err)
				}
				want[e.Name] = info.Seq
			}
			holdsEntries := func(s *history.Store) {
				t.Helper()
				found := map[string]history.Record{}
				for _, r := range records(t, s) {
					found[r.File] = r
				}
				for name, seq := range want {
					if r := found[name]; r.Seq != seq || !r.Kept || r.Actor != "alice" || r.Trigger != "watch" {
						t.Errorf("%s: %+v; want number %d", name, r, seq)
					}
				}
			}
			before := names(t, s.Dir())
			holdsEntries(newStore(t, history.Config{Dir: s.Dir()})) // a reader
			if got := names(t, s.Dir()); !slices.Equal(got, before) {
				t.Errorf("reading left %v; want %v", got, before)
			}
			var notices []error
			writer := newStore(t, history.Config{Dir: s.Dir(), Keep: 20, Notice: func(err error) { notices = append(notices, err) }})
			serve(t, writer, 50, time.Time{})
			holdsEntries(writer)
			if find(t, writer, "8").Revision != version(t, 50).Revision() {
				t.Error("the next number is not 8")
			}
			if len(notices) != 1 || !strings.Contains(notices[0].Error(), index) {
				t.Errorf("notices %v", notices)
			}
			holdsEntries(newStore(t, history.Config{Dir: s.Dir(), Notice: func(err error) { t.Error(err) }}))
			serve(t, newStore(t, history.Config{Dir: s.Dir(), Keep: 20, Notice: func(err error) { t.Error(err) }}), 51, time.Time{})
		})
	}
}

func TestHalfALineAtTheEndIsForgotten(t *testing.T) {
	s := newStore(t, history.Config{})
	serve(t, s, 1, time.Time{})
	index := filepath.Join(s.Dir(), "index.jsonl")
	whole, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s, 2, time.Time{})
	longer, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(whole); n < len(longer); n += 7 { // what a crash leaves
		if err := os.WriteFile(index, longer[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		next := newStore(t, history.Config{Dir: s.Dir(), Notice: func(err error) { t.Error(err) }})
		if got := seqs(records(t, next)); !slices.Equal(got, []uint64{2, 1}) {
			t.Fatalf("%d bytes: numbers %v: the entry tells its own", n, got)
		}
		serve(t, next, 2, time.Time{})
		if got := seqs(records(t, newStore(t, history.Config{Dir: s.Dir()}))); !slices.Equal(got, []uint64{2, 1}) {
			t.Fatalf("%d bytes: numbers %v after the next start", n, got)
		}
	}
}

func TestEntriesOfAnEarlierVersionGetNumbers(t *testing.T) {
	s := newStore(t, history.Config{})
	for n := range 3 {
		serve(t, s, n, time.Time{})
	}
	for _, e := range entries(t, s) {
		all := unpackFile(t, e.Path)
		start, end := strings.Index(all[0].text, `"seq":`), strings.Index(all[0].text, `"trigger"`)
		all[0].text = all[0].text[:start] + all[0].text[end:]
		packFile(t, e.Path, all)
	}
	if err := os.Remove(filepath.Join(s.Dir(), "index.jsonl")); err != nil {
		t.Fatal(err)
	}
	next := newStore(t, history.Config{Dir: s.Dir()})
	if got := seqs(records(t, next)); !slices.Equal(got, []uint64{3, 2, 1}) {
		t.Fatalf("numbers %v", got)
	}
	serve(t, next, 3, time.Time{})
	if err := os.Remove(filepath.Join(s.Dir(), "index.jsonl")); err != nil {
		t.Fatal(err)
	}
	if got := seqs(records(t, newStore(t, history.Config{Dir: s.Dir()}))); !slices.Equal(got, []uint64{4, 3, 2, 1}) {
		t.Errorf("numbers %v; want the same ones again", got)
	}
}

func TestTheIndexForgetsTheOldestThatAreNotKept(t *testing.T) {
	s := newStore(t, history.Config{Keep: 1})
	s.SetMaxRecords(40)
	g := [2]*engine.Generation{version(t, 0), version(t, 1)}
	const all = 58
	for n := range all {
		if _, err := s.Save(t.Context(), g[n%2]); err != nil {
			t.Fatal(err)
		}
	}
	got := records(t, s)
	if len(got) < 40 || len(got) > 50 || got[0].Seq != all || got[len(got)-1].Seq != all-uint64(len(got))+1 {
		t.Errorf("%d records, %d to %d", len(got), got[len(got)-1].Seq, got[0].Seq)
	}
	if read := records(t, newStore(t, history.Config{Dir: s.Dir()})); !reflect.DeepEqual(read, got) {
		t.Error("another process reads other records")
	}
}
