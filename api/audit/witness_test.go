package audit_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/api/audit"
)

// witness is the file that says how far the database of a test had come.
func witness(database string) string {
	name, _ := strings.CutSuffix(filepath.Base(database), filepath.Ext(database))
	return filepath.Join(filepath.Dir(database), "head-of-"+name+".json")
}

// forget removes what the next start compares, as an operator does who accepts the database.
func forget(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(witness(path)); err != nil {
		t.Fatal(err)
	}
}

func block(t testing.TB, l *running, name string) {
	t.Helper()
	if _, _, err := l.AddEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: name}, ""); err != nil {
		t.Fatal(err)
	}
}

func end(t testing.TB, l *running) {
	t.Helper()
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
}

// alarms collects what [audit.Config.Alarm] is called with.
type alarms struct {
	mu   sync.Mutex
	seen []audit.Record
}

func (a *alarms) add(r audit.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, r)
}

func (a *alarms) actions() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return actions(a.seen)
}

// cut removes the newest records without a trace in the database, as who has write access to the file can.
func cut(t testing.TB, path, keep string) {
	t.Helper()
	sqlExec(t, raw(t, path), "DROP TRIGGER IF EXISTS audit_events_kept", "DELETE FROM audit_events WHERE seq > "+keep,
		"UPDATE audit_chain SET head_seq = "+keep+", head_hash = (SELECT hash FROM audit_events WHERE seq = "+keep+")")
}

func TestADatabaseChangedWhileStoppedIsNoticed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(t *testing.T, path, early string) // early is a copy of before there was a block list
		says   string
		trusts bool // the lists are what they were
	}{
		"removed":           {func(t *testing.T, path, _ string) { remove(t, path) }, "the database was removed: it had 5 records", false},
		"an old copy":       {func(t *testing.T, path, early string) { remove(t, path); copyDatabase(t, early, path) }, "was put back or cut off", false},
		"the end cut off":   {func(t *testing.T, path, _ string) { cut(t, path, "4") }, "was put back or cut off", true},
		"another database":  {func(t *testing.T, path, _ string) { other(t, path) }, "replaced by another one", false},
		"an unreadable one": {func(t *testing.T, path, _ string) { write(t, witness(path), "{") }, "unexpected end", false},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, audit.Config{})
			l.add(t, "a", "b")
			early := l.path + ".early"
			copyDatabase(t, l.path, early)
			block(t, l, "evil")
			l.add(t, "c", "d")
			end(t, l)
			tc.change(t, l.path, early)
			if _, err := os.Stat(l.path); err == nil && tc.says != "unexpected end" {
				if report := verify(t, l.path); report.OK || !strings.Contains(report.Problems[0].Message, tc.says) {
					t.Errorf("verify of the file: %+v", report.Problems)
				}
			}
			for i := range 2 { // the lists are not trusted after another start either
				heard := &alarms{}
				l = start(t, audit.Config{Path: l.path, Alarm: heard.add})
				l.add(t, "next")
				found, err := l.Query(t.Context(), audit.Filter{Action: audit.ActionReplaced})
				if err != nil || len(found) != i+1 || !strings.Contains(found[i].Message, tc.says) || found[0].Severity != audit.SeverityHigh {
					t.Fatalf("%+v, %v", found, err)
				}
				if !slices.Contains(heard.actions(), audit.ActionReplaced) || l.Health().Alarms == 0 {
					t.Errorf("alarms %v, %+v", heard.actions(), l.Health())
				}
				if report, err := l.Verify(t.Context()); err != nil || report.OK {
					t.Errorf("the running log verifies it: %+v, %v", report, err)
				}
				lists, err := l.Lists()
				if tc.trusts != (err == nil) || tc.trusts && len(lists.Block) != 1 || !tc.trusts && !strings.Contains(err.Error(), witness(l.path)) {
					t.Errorf("lists %+v, %v", lists, err)
				}
				end(t, l)
				if tc.trusts {
					break
				}
			}
			if !tc.trusts {
				forget(t, l.path)
			}
			heard := &alarms{}
			l = start(t, audit.Config{Path: l.path, Alarm: heard.add})
			l.add(t, "accepted")
			if _, err := l.Lists(); err != nil || len(heard.actions()) > 0 {
				t.Errorf("after it was accepted: %v, alarms %v", err, heard.actions())
			}
		})
	}
}

func other(t *testing.T, path string) {
	t.Helper()
	remove(t, path)
	if err := os.Rename(witness(path), path+".kept"); err != nil {
		t.Fatal(err)
	}
	l := start(t, audit.Config{Path: path})
	l.add(t, "x")
	end(t, l)
	if err := os.Rename(path+".kept", witness(path)); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestADatabaseRemovedWithoutListsIsAnAlarmOnce(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "a")
	end(t, l)
	remove(t, l.path)
	for i := range 2 {
		heard := &alarms{}
		l = start(t, audit.Config{Path: l.path, Alarm: heard.add})
		l.add(t, "b")
		if _, err := l.Lists(); err != nil || len(heard.actions()) != 1-i {
			t.Errorf("start %d: %v, alarms %v", i, err, heard.actions())
		}
		end(t, l)
	}
}

func TestListsChangedWithoutARecordDoNotDecide(t *testing.T) {
	l := start(t, audit.Config{})
	block(t, l, "evil")
	end(t, l)
	sqlExec(t, raw(t, l.path), "DELETE FROM list_entries")
	l = start(t, audit.Config{Path: l.path})
	l.add(t, "a")
	if lists, err := l.Lists(); err == nil || !strings.Contains(err.Error(), "changed without a record") {
		t.Errorf("%+v, %v", lists, err)
	}
	end(t, l)
	forget(t, l.path)
	for i := range 2 { // accepted, and on record
		heard := &alarms{}
		l = start(t, audit.Config{Path: l.path, Alarm: heard.add})
		l.add(t, "b")
		if lists, err := l.Lists(); err != nil || len(lists.Block) != 0 || len(heard.actions()) != 1-i {
			t.Errorf("start %d: %+v, %v, alarms %v", i, lists, err, heard.actions())
		}
		end(t, l)
	}
	wantSound(t, l.path)
}

func TestACrashIsNoAlarm(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "a")
	block(t, l, "evil")
	var old []byte
	eventually(t, "a change of the lists is noted", func() (noted bool) {
		var err error
		old, err = os.ReadFile(witness(l.path))
		return err == nil && strings.Contains(string(old), `"list_entries":1`)
	})
	l.add(t, "b", "c")
	block(t, l, "worse")
	end(t, l)
	write(t, witness(l.path), string(old)) // the process was killed before it wrote the newer one
	heard := &alarms{}
	l = start(t, audit.Config{Path: l.path, Alarm: heard.add})
	l.add(t, "d")
	if lists, err := l.Lists(); err != nil || len(lists.Block) != 2 || len(heard.actions()) > 0 {
		t.Errorf("%+v, %v, alarms %v", lists, err, heard.actions())
	}
	if report, err := l.Verify(t.Context()); err != nil || !report.OK {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestTheEndCutOffUnderARunningLogIsFound(t *testing.T) {
	heard := &alarms{}
	l := start(t, audit.Config{RetryEvery: time.Hour, Alarm: heard.add})
	l.add(t, "a", "b", "c", "d")
	cut(t, l.path, "2")
	wantTampered := func(when string) {
		t.Helper()
		if report, err := l.Verify(t.Context()); err != nil || report.OK || report.Problems[0].Kind != audit.ProblemHead {
			t.Errorf("%s: %+v, %v", when, report.Problems, err)
		}
	}
	wantTampered("before the next record")
	l.add(t, "e")
	wantTampered("after it")
	if got := actions(all(t, l)); !slices.Equal(got, []string{"a", "b", audit.ActionTampered, "e"}) {
		t.Errorf("got %v", got)
	}
	if got := all(t, l)[2]; !strings.Contains(got.Message, "2 records were removed from the end") || !slices.Equal(heard.actions(), []string{audit.ActionTampered}) {
		t.Errorf("%+v, alarms %v", got, heard.actions())
	}
	l.add(t, "f", "g", "h") // beyond where it had been: the record stays
	end(t, l)
	if report := verify(t, l.path); report.OK {
		t.Error("the file alone does not show it")
	}
}

func TestAnotherWriterIsNoticedWithoutARecord(t *testing.T) {
	heard := &alarms{}
	l := start(t, audit.Config{Alarm: heard.add})
	l.add(t, "a")
	second := start(t, audit.Config{Path: l.path, RetryEvery: time.Hour})
	second.add(t, "b", "c")
	end(t, second)
	eventually(t, "it is noticed", func() bool { return slices.Contains(heard.actions(), audit.ActionTampered) })
	found, err := l.Query(t.Context(), audit.Filter{Action: audit.ActionTampered})
	if err != nil || len(found) == 0 || !strings.Contains(found[len(found)-1].Message, "another program added ") {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestSizeRemovesYoungRecordsWithAnAlarmOnly(t *testing.T) {
	heard := &alarms{}
	l := start(t, audit.Config{MaxBytes: 100 << 10, PruneEvery: 10 * time.Millisecond, Alarm: heard.add})
	long := strings.Repeat("x", 4000)
	for range 200 {
		if err := l.Append(t.Context(), audit.Record{Action: "a", Message: long}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "records are removed", func() bool { return l.Health().Early > 0 })
	found, err := l.Query(t.Context(), audit.Filter{Action: audit.ActionPrune, Limit: 1})
	if err != nil || len(found) != 1 || found[0].Severity != audit.SeverityWarn || !strings.Contains(found[0].Message, "raise audit.max_bytes") {
		t.Errorf("%+v, %v", found, err)
	}
	eventually(t, "it is an alarm", func() bool { return slices.Contains(heard.actions(), audit.ActionPrune) })
	end(t, l)
	heard = &alarms{} // age alone removes without one
	l = start(t, audit.Config{Path: l.path, MaxAge: time.Nanosecond, PruneEvery: 10 * time.Millisecond, Alarm: heard.add})
	eventually(t, "records are removed for their age", func() bool {
		found, err := l.Query(t.Context(), audit.Filter{Action: audit.ActionPrune, Limit: 1})
		return err == nil && len(found) == 1 && strings.Contains(found[0].Message, "age")
	})
	if len(heard.actions()) > 0 {
		t.Errorf("alarms %v", heard.actions())
	}
	end(t, l)
	wantSound(t, l.path)
}

func TestOnlyWhatTheChainSaysServedHasServed(t *testing.T) {
	l := start(t, audit.Config{})
	for _, r := range []audit.Record{
		{Action: audit.ActionPolicyReload, RevisionTo: "sha256:one"},
		{Action: audit.ActionPolicyReload, Outcome: audit.OutcomeFailed, RevisionTo: "sha256:refused"},
		{Action: audit.ActionPolicyRestored, RevisionTo: "sha256:restored"},
		{Action: audit.ActionListBlock, RevisionTo: "sha256:list"},
		{Action: audit.ActionPolicyReload, RevisionTo: "sha256:altered"},
		{Action: audit.ActionStop},
	} {
		if err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	sqlExec(t, raw(t, l.path), "DROP TRIGGER audit_events_unchanged", "UPDATE audit_events SET revision_to = 'sha256:forged' WHERE revision_to = 'sha256:altered'",
		"INSERT INTO audit_events (id, timestamp, action, actor, outcome, revision_to, seq, prev_hash, hash) SELECT 'x', timestamp, action, actor, outcome, 'sha256:inserted', 99, prev_hash, hash FROM audit_events WHERE seq = 1")
	check := func(when string, want map[string]bool) {
		t.Helper()
		for revision, served := range want {
			if at, err := l.Served(t.Context(), "sha256:"+revision); served != (err == nil) || err != nil && !errors.Is(err, audit.ErrNotServed) {
				t.Errorf("%s: %s: %v, %v", when, revision, at, err)
			}
		}
	}
	check("at first", map[string]bool{"one": true, "refused": false, "restored": true, "list": false, "forged": false, "altered": false, "inserted": false, "none": false})
	end(t, l)
	check("after the end", map[string]bool{"one": true, "none": false})
}

func TestARemovedRecordStillSaysThatARevisionServed(t *testing.T) {
	l := start(t, audit.Config{MaxAge: time.Nanosecond, PruneEvery: 5 * time.Millisecond})
	for _, revision := range []string{"sha256:one", "sha256:two"} {
		if err := l.Append(t.Context(), audit.Record{Action: audit.ActionPolicyReload, RevisionTo: revision}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is removed", func() bool {
			found, err := l.Query(t.Context(), audit.Filter{Action: audit.ActionPolicyReload})
			return err == nil && len(found) == 0
		})
	}
	for _, revision := range []string{"sha256:one", "sha256:two"} {
		if at, err := l.Served(t.Context(), revision); err != nil || !at.IsZero() {
			t.Errorf("%s: %v, %v", revision, at, err)
		}
	}
	end(t, l)
	wantSound(t, l.path)
}
