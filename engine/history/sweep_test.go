package history_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

// serve saves a generation that began to serve at a time.
func serve(t *testing.T, s *history.Store, n int, at time.Time) *engine.Generation {
	t.Helper()
	g := version(t, n)
	if _, err := s.SaveServed(t.Context(), history.Served{Generation: g, At: at, Trigger: "watch", Actor: "alice"}); err != nil {
		t.Fatal(err)
	}
	return g
}

func find(t *testing.T, s *history.Store, ref string) history.Record {
	t.Helper()
	r, err := s.Find(ref)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestABurstKeepsWhatServedLongestBeforeIt(t *testing.T) {
	s := newStore(t, history.Config{Keep: 6})
	at := time.Now().Add(-100 * time.Hour)
	serve(t, s, 1, at)
	serve(t, s, 2, at.Add(time.Minute)) // for three days
	serve(t, s, 3, at.Add(72*time.Hour))
	serve(t, s, 4, at.Add(73*time.Hour)) // for a day
	at = at.Add(97 * time.Hour)
	for n := range 40 {
		serve(t, s, 100+n, at.Add(time.Duration(n)*time.Second))
	}
	for seq, want := range map[int]bool{1: false, 2: true, 4: true, 44: true, 43: true, 42: true, 20: false} {
		if r := find(t, s, fmt.Sprint(seq)); r.Kept != want {
			t.Errorf("entry %d is kept: %v; want %v", seq, r.Kept, want)
		}
	}
	if n := len(entries(t, s)); n != 6 {
		t.Errorf("%d entries", n)
	}
}

func TestWhatIsProtectedIsNotSwept(t *testing.T) {
	s := newStore(t, history.Config{Keep: 2})
	first := serve(t, s, 1, time.Time{})
	s.Protect(func() []string { return []string{first.Revision()} })
	for n := range 10 {
		serve(t, s, 10+n, time.Time{})
	}
	if !find(t, s, "1").Kept {
		t.Error("it is swept")
	}
	if n := len(entries(t, s)); n != 2 {
		t.Errorf("%d entries; want the protected one to be one of two", n)
	}
	s.Protect(nil)
	serve(t, s, 30, time.Time{})
	serve(t, s, 31, time.Time{})
	serve(t, s, 32, time.Time{})
	if n := len(entries(t, s)); n != 2 {
		t.Errorf("%d entries", n)
	}
}

func TestTheSpaceOfAllEntriesIsBounded(t *testing.T) {
	s := newStore(t, history.Config{})
	e := save(t, s, version(t, 1))
	info, err := os.Stat(e.Path)
	if err != nil {
		t.Fatal(err)
	}
	small := newStore(t, history.Config{Dir: s.Dir(), MaxTotalBytes: 3*info.Size() + info.Size()/2})
	small.Protect(func() []string { return []string{version(t, 1).Revision()} })
	for n := range 6 {
		save(t, small, version(t, 10+n))
	}
	if n := len(entries(t, s)); n != 3 {
		t.Errorf("%d entries", n)
	}
	if !find(t, small, "1").Kept || !find(t, small, "7").Kept {
		t.Error("the space was taken from what is protected, or from the newest")
	}
	tiny := newStore(t, history.Config{Dir: s.Dir(), MaxTotalBytes: 1})
	save(t, tiny, version(t, 30))
	if all := entries(t, s); len(all) != 1 || !find(t, tiny, "8").Kept {
		t.Errorf("%v; want the newest to stay however little space there is", all)
	}
}
