package dev_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/dev"
	"defenseclaw/cmd/internal/testutil"
)

// desk is a directory that a loop watches.
type desk struct {
	t      *testing.T
	dir    string
	loop   *dev.Loop
	rounds chan dev.Round
}

func atDesk(t *testing.T, files map[string]string) *desk {
	t.Helper()
	return atDeskFor(t, 0, files)
}

// atDeskFor is atDesk with searches of that time.
func atDeskFor(t *testing.T, probe time.Duration, files map[string]string) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir(), rounds: make(chan dev.Round)}
	for name, text := range files {
		d.save(name, text)
	}
	var err error
	if d.loop, err = dev.New(dev.Config{Dir: d.dir, ProbeTime: probe}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- d.loop.Run(ctx, nil, func(r dev.Round) {
			select {
			case d.rounds <- r:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d
}

// save replaces a file by a rename, as editors do.
func (d *desk) save(name, text string) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path+"~", []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		d.t.Fatal(err)
	}
}

// until waits for a round for which wanted is true. Others are skipped: one save can cause two rounds.
func (d *desk) until(what string, wanted func(dev.Round) bool) dev.Round {
	d.t.Helper()
	deadline, last := time.NewTimer(testutil.Patience), dev.Round{}
	defer deadline.Stop()
	for {
		select {
		case last = <-d.rounds:
			if wanted(last) {
				return last
			}
		case <-deadline.C:
			d.t.Fatalf("no round was %s; the last one is %+v", what, last)
		}
	}
}

var start = map[string]string{
	"p.rego":           "package p\n\nlimit := 10\n\nallow if input.size < limit\n",
	"p_test.rego":      "package p_test\n\ntest_small if {\n\tsize := 3\n\tdata.p.limit > size\n}\n",
	"q.rego":           "package q\n\nx := 1\n",
	"q_test.rego":      "package q_test\n\ntest_x if data.q.x == 1\n",
	"p.input.json":     `{"size": 3}`,
	"p.expected.json":  `{"allow": true}`,
	"p.big.input.json": `{"size": 30}`,
}

func TestAnEditABreakAFixAndADeletionAreReported(t *testing.T) {
	d := atDesk(t, start)
	first := d.until("the first round", func(r dev.Round) bool { return r.All })
	if !first.OK() || first.Ran != 2 || len(first.Decisions) != 2 {
		t.Fatalf("the first round: %+v", first)
	}

	d.save("p.rego", strings.Replace(start["p.rego"], "10", "2", 1)+"\ndeny if input.size > 100\n")
	edit := d.until("the edit", func(r dev.Round) bool { return len(r.Failing) == 1 })
	if edit.Ran != 1 || edit.Total != 2 || edit.OK() || edit.Took <= 0 {
		t.Errorf("the edit affects one test of two: %+v", edit)
	}
	if why := strings.Join(edit.Failing[0].Why, "\n"); !strings.Contains(why, "data.p.limit > size") || !strings.Contains(why, "2") {
		t.Errorf("the failure does not show its values:\n%s", why)
	}
	if len(edit.Lines) != 1 || len(edit.Lines[0].Reached) != 1 || len(edit.Lines[0].NotReached) != 1 || edit.Lines[0].NotReached[0] != 7 {
		t.Errorf("line 3 is reached and line 7 is not: %+v", edit.Lines)
	}
	for _, decision := range edit.Decisions {
		if decision.Input == "p.input.json" && (strings.Join(decision.Changed, " ") != "- allow: true - limit: 10 + limit: 2" || len(decision.Missed) == 0) {
			t.Errorf("the decision's change: %+v", decision)
		}
	}

	d.save("p.rego", "package p\n\nallow if {{\n")
	broken := d.until("the break", func(r dev.Round) bool { return len(r.Problems) > 0 })
	if broken.Problems[0].File != "p.rego" || broken.Problems[0].Line != 3 || len(broken.Failing) != 1 || !broken.Failing[0].Before {
		t.Errorf("the break: %+v", broken)
	}

	d.save("p.rego", start["p.rego"])
	if fixed := d.until("the fix", func(r dev.Round) bool { return r.OK() }); fixed.Ran != 1 {
		t.Errorf("the fix: %+v", fixed)
	}

	if err := os.Remove(filepath.Join(d.dir, "p_test.rego")); err != nil {
		t.Fatal(err)
	}
	if gone := d.until("the deletion", func(r dev.Round) bool { return r.Total == 1 }); !gone.OK() || gone.Ran != 0 {
		t.Errorf("the deletion: %+v", gone)
	}
	d.loop.Ask(dev.Scope{})
	if all := d.until("all tests", func(r dev.Round) bool { return r.All }); all.Ran != 1 {
		t.Errorf("all tests: %+v", all)
	}
}

func TestAFailureStaysUntilItIsRepairedOrItsTestIsGone(t *testing.T) {
	d := atDesk(t, start)
	d.until("the first round", func(r dev.Round) bool { return r.All })
	d.save("q.rego", "package q\n\nx := 2\n")
	d.until("the failure", func(r dev.Round) bool { return len(r.Failing) == 1 })
	d.save("p.rego", strings.Replace(start["p.rego"], "10", "9", 1))
	other := d.until("another edit", func(r dev.Round) bool { return r.Ran == 1 && len(r.Changed) == 1 && r.Changed[0] == "p.rego" })
	if len(other.Failing) != 1 || !other.Failing[0].Before {
		t.Errorf("a failure that was not repaired is missing: %+v", other.Failing)
	}
	if err := os.Remove(filepath.Join(d.dir, "q_test.rego")); err != nil {
		t.Fatal(err)
	}
	d.until("no failure", func(r dev.Round) bool { return r.OK() })
}

func TestASavedInputIsEvaluated(t *testing.T) {
	d := atDesk(t, map[string]string{"p.rego": start["p.rego"]})
	d.until("the first round", func(r dev.Round) bool { return r.All })
	d.save("p.input.json", `{"size": 30}`)
	d.save("p.expected.json", `{"allow": true}`)
	missed := d.until("the decision", func(r dev.Round) bool { return len(r.Decisions) == 1 && len(r.Decisions[0].Missed) > 0 })
	if missed.OK() || missed.Decisions[0].Missed[0] != "- allow: true" {
		t.Errorf("the decision: %+v", missed.Decisions[0])
	}
	d.save("p.input.json", `{"size": }`)
	d.until("the error", func(r dev.Round) bool { return len(r.Decisions) == 1 && r.Decisions[0].Err != nil })
}
