package audit_test

import (
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"defenseclaw/api/audit"
)

func (r *running) block(t testing.TB, name string, expires time.Time) audit.Entry {
	t.Helper()
	e := audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: name, Reason: "why", ExpiresAt: expires}
	now, _, err := r.AddEntry(t.Context(), e, "")
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// blocked reports whether the lists block a skill.
func (r *running) blocked(t testing.TB, name string) bool {
	t.Helper()
	lists, err := r.Lists()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := lists.For("skill", name)
	return len(block) > 0
}

func TestAnEntryThatExpiresIsTakenOffOnRecord(t *testing.T) {
	l := start(t, audit.Config{})
	l.block(t, "stays", time.Time{})
	l.block(t, "goes", time.Now().Add(300*time.Millisecond))
	if !l.blocked(t, "goes") {
		t.Fatal("it does not block before it expires")
	}
	for deadline := time.Now().Add(time.Minute); ; {
		found, err := l.Query(t.Context(), audit.Filter{Action: audit.ActionListRemove})
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 1 && found[0].Actor == audit.ActorExpiry && found[0].Target == "skill/goes" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no record of the removal: %v", found)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if l.blocked(t, "goes") || !l.blocked(t, "stays") {
		t.Error("the wrong entry was taken off")
	}
	if report, err := l.Verify(t.Context()); err != nil || len(report.Problems) > 0 {
		t.Error(report.Problems, err)
	}
}

// An entry counts no more from the moment that it expires, also while its removal cannot be written, as when Run does not run.
func TestAnExpiredEntryDoesNotCountBeforeItIsTakenOff(t *testing.T) {
	first := start(t, audit.Config{})
	e := first.block(t, "x", time.Now().Add(20*time.Millisecond))
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(e.ExpiresAt))
	l, err := audit.New(audit.Config{Path: first.path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lists, err := l.Lists()
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := lists.For("skill", "x"); len(block) > 0 {
		t.Errorf("%v still blocks", block)
	}
}

func TestAddingAgainKeepsWhatIsNotSaid(t *testing.T) {
	l := start(t, audit.Config{})
	add := func(e audit.Entry) (audit.Entry, bool) {
		t.Helper()
		e.TargetType, e.TargetName = "skill", "x"
		now, changed, err := l.AddEntry(t.Context(), e, "")
		if err != nil {
			t.Fatal(err)
		}
		return now, changed
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	first, _ := add(audit.Entry{List: audit.ListAllow, Reason: "r", SourcePath: "/p", ExpiresAt: tomorrow})
	again, changed := add(audit.Entry{List: audit.ListAllow, ExpiresAt: audit.KeepExpiry})
	if changed || again != first {
		t.Errorf("changed %v: %v, was %v", changed, again, first)
	}
	for range 2 {
		forever, changed := add(audit.Entry{List: audit.ListAllow})
		if forever.Reason != "r" || forever.SourcePath != "/p" || !forever.ExpiresAt.IsZero() {
			t.Errorf("changed %v: %v", changed, forever)
		}
	}
	other, _ := add(audit.Entry{List: audit.ListBlock, ExpiresAt: audit.KeepExpiry})
	if other.Reason != "" || other.SourcePath != "" || !other.ExpiresAt.IsZero() {
		t.Errorf("the other list's entry says %v", other)
	}
}

// Who puts an expiry off, or ends it, has to leave a record.
func TestVerifyFindsAChangedExpiry(t *testing.T) {
	for _, tamper := range []string{"'2099-01-01T00:00:00.000000000Z'", "NULL", "''"} {
		l := start(t, audit.Config{})
		l.block(t, "x", time.Now().Add(time.Hour))
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		sqlExec(t, raw(t, l.path), "UPDATE list_entries SET expires_at = "+tamper)
		again, err := audit.New(audit.Config{Path: l.path})
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		r, err := audit.OpenReadOnly(t.Context(), l.path)
		if err != nil {
			t.Fatal(err)
		}
		report, err := r.Verify(t.Context())
		if err != nil || !slices.ContainsFunc(report.Problems, func(p audit.Problem) bool { return p.Kind == audit.ProblemLists }) {
			t.Errorf("%s: %v, %v", tamper, report.Problems, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A database of a version without expiries is read as it is, and takes entries that expire.
func TestADatabaseWithoutExpiries(t *testing.T) {
	l := start(t, audit.Config{})
	l.block(t, "old", time.Time{})
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	sqlExec(t, raw(t, l.path), "ALTER TABLE list_entries DROP COLUMN expires_at")
	r, err := audit.OpenReadOnly(t.Context(), l.path)
	if err != nil {
		t.Fatal(err)
	}
	if report, err := r.Verify(t.Context()); err != nil || len(report.Problems) > 0 {
		t.Error(report.Problems, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	again := start(t, audit.Config{Path: l.path})
	if !again.blocked(t, "old") {
		t.Error("the entry is gone")
	}
	again.block(t, "new", time.Now().Add(time.Hour))
	if report, err := again.Verify(t.Context()); err != nil || len(report.Problems) > 0 {
		t.Error(report.Problems, err)
	}
	// The older version again: it names its columns.
	sqlExec(t, raw(t, l.path), "INSERT OR REPLACE INTO list_entries (list, target_type, target_name, reason, source_path, actor, created_at) "+
		"VALUES ('block', 'skill', 'new', '', '', '', '2026-01-01T00:00:00Z')")
}

func TestTheManualHasEveryAction(t *testing.T) {
	manual, err := os.ReadFile("../../docs/reference/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{"policy-reload-rejected": true} // of earlier versions, in the text
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z-]+`(?:, `[a-z-]+`)*) \\|.*\\|.*\\|$").FindAllStringSubmatch(string(manual), -1) {
		for _, action := range regexp.MustCompile("[a-z]+(?:-[a-z]+)*").FindAllString(row[1], -1) {
			named[action] = true
		}
	}
	for _, action := range audit.Actions() {
		if !named[action] {
			t.Errorf("docs/reference/audit.md does not name the action %s", action)
		}
		delete(named, action)
	}
	for action := range named {
		t.Errorf("docs/reference/audit.md names the action %s, which Actions does not have", action)
	}
}
