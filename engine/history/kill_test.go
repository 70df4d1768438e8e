//go:build unix

package history_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

// saveUntilKilled is the process that the next test kills. It reports the end of each save.
func saveUntilKilled(dir string) error {
	ctx := context.Background()
	s, err := history.New(history.Config{Dir: dir, Keep: 3})
	if err != nil {
		return err
	}
	var turns [2]*engine.Generation
	for i := range turns {
		if turns[i], err = engine.Load(ctx, corpus(40, uint64(i)).fs(), nil); err != nil {
			return err
		}
	}
	for i := 0; ; i++ {
		if _, err := s.Save(ctx, turns[i%2]); err != nil {
			return err
		}
		fmt.Println("saved", turns[i%2].Revision())
	}
}

func TestAKilledSaveLeavesOnlyWholeEntries(t *testing.T) {
	dir := t.TempDir()
	left := 0
	files := map[uint64]string{} // by number, of all rounds
	for round := range 15 {
		last := killWhileSaving(t, dir, 1+round%4)
		s := newStore(t, history.Config{Dir: dir, Keep: 3})
		all := entries(t, s)
		if len(all) < 1 || len(all) > 4 { // three, and one that came before the sweeping
			t.Fatalf("round %d: %d entries", round, len(all))
		}
		found := ""
		for _, e := range all {
			src, err := e.FS(t.Context())
			if err != nil {
				t.Fatalf("round %d: %s: %v", round, e.Name, err)
			}
			if round%5 == 0 { // loading takes the longest
				found += load(t, src).Revision()
			} else if info, err := e.Info(); err == nil {
				found += info.Revision
			}
		}
		if !strings.Contains(found, last) {
			t.Errorf("round %d: %s was reported saved, and is not there", round, last)
		}
		checkNumbers(t, newStore(t, history.Config{Dir: dir, Notice: func(err error) { t.Errorf("round %d: %v", round, err) }}), files)
		left += len(names(t, dir)) - len(all)
	}
	t.Logf("%d unfinished files were left in all", left)
	s := newStore(t, history.Config{Dir: dir, Keep: 3})
	save(t, s, version(t, 1))
	if got := names(t, dir); len(got) != 3 {
		t.Errorf("after the next save: %v", got)
	}
}

// checkNumbers fails if an entry has no record, or a number that another generation had in an earlier round.
func checkNumbers(t *testing.T, s *history.Store, files map[uint64]string) {
	t.Helper()
	kept := 0
	for _, r := range records(t, s) {
		if before, ok := files[r.Seq]; ok && before != r.File {
			t.Errorf("number %d is that of %s, and was that of %s", r.Seq, r.File, before)
		}
		files[r.Seq] = r.File
		if !r.Kept {
			continue
		}
		kept++
		found, err := s.Open(t.Context(), r)
		if err != nil || found.Info.Seq != r.Seq {
			t.Errorf("number %d: %+v, %v", r.Seq, found.Info, err)
		}
	}
	if all := entries(t, s); kept != len(all) {
		t.Errorf("%d of %d entries have a record", kept, len(all))
	}
}

// killWhileSaving kills a saving process shortly after that many saves, and returns the revision that
// it reported last.
func killWhileSaving(t *testing.T, dir string, saves int) (last string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), saverEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range saves {
		if !lines.Scan() {
			t.Fatal("the saving process ended by itself")
		}
		last, _ = strings.CutPrefix(lines.Text(), "saved ")
	}
	time.Sleep(time.Duration(rand.IntN(int(8 * time.Millisecond)))) // to hit different steps; any will do
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		if r, ok := strings.CutPrefix(lines.Text(), "saved sha256:"); ok && len(r) == 64 {
			last = "sha256:" + r
		}
	}
	cmd.Wait() //nolint:errcheck // it was killed
	return last
}
