package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/api/audit"
)

// lock keeps other connections from writing until it is called.
func lock(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db := raw(t, path)
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	run := func(statement string) {
		t.Helper()
		if _, err := conn.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	run("BEGIN IMMEDIATE")
	return func() {
		t.Helper()
		run("ROLLBACK")
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// notDurable expects an Append to fail because of the disk, and to keep the record or not.
func notDurable(t *testing.T, err error, backlog int, lost bool, want string) {
	t.Helper()
	var e *audit.NotDurableError
	if !errors.As(err, &e) || e.Backlog != backlog || e.Lost != lost || !strings.Contains(err.Error(), want) {
		t.Fatalf("%v; want one that is lost %v, with %d waiting, and says %q", err, lost, backlog, want)
	}
}

func TestALockedDatabaseDelaysRecordsAndLosesNone(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "before")
	unlock := lock(t, l.path)
	for i := range 3 {
		notDurable(t, l.Append(t.Context(), audit.Record{Action: fmt.Sprint("locked-", i)}), i+1, false, "another process has locked it: database is locked")
	}
	h := l.Health()
	if h.OK || h.Backlog != 3 || h.Lost != 0 || h.FailedAt == nil || !strings.Contains(h.Error, l.path) || !strings.Contains(h.Error, "locked") {
		t.Errorf("%+v", h)
	}
	if got := actions(all(t, l)); !slices.Equal(got, []string{"before"}) {
		t.Errorf("reading does not work while writing does not: %v", got)
	}
	if _, _, err := l.AddEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: "x"},
		""); err == nil || !strings.Contains(err.Error(), "add skill/x to the block list: nothing was changed: ") {
		t.Errorf("%v", err)
	}
	unlock()
	eventually(t, "the backlog is written without another append", func() bool { return l.Health().Backlog == 0 })
	l.add(t, "after")
	if got := actions(all(t, l)); !slices.Equal(got, []string{"before", "locked-0", "locked-1", "locked-2", "after"}) {
		t.Errorf("got %v", got)
	}
	if h := l.Health(); !h.OK || h.Error != "" || h.FailedAt == nil {
		t.Errorf("%+v", h)
	}
	if lists, err := l.Lists(); err != nil || len(lists.Block) != 0 {
		t.Errorf("an entry that was refused is there: %+v, %v", lists, err)
	}
	wantSound(t, l.path)
}

func TestLostRecordsAreCountedInTheirPosition(t *testing.T) {
	l := start(t, audit.Config{Backlog: 2, RetryEvery: time.Hour})
	l.add(t, "before")
	unlock := lock(t, l.path)
	begin := time.Now()
	notDurable(t, l.Append(t.Context(), audit.Record{Action: "kept-1"}), 1, false, "not on disk yet (1 are waiting)")
	notDurable(t, l.Append(t.Context(), audit.Record{Action: "kept-2"}), 2, false, "not on disk yet (2 are waiting)")
	for range 3 {
		notDurable(t, l.Append(t.Context(), audit.Record{Action: "lost"}), 2, true, "audit record lost is lost (2 are waiting)")
	}
	if h := l.Health(); h.Lost != 3 || h.Backlog != 2 {
		t.Errorf("%+v", h)
	}
	unlock()
	l.add(t, "after")
	records := all(t, l)
	if got := actions(records); !slices.Equal(got, []string{"before", "kept-1", "kept-2", audit.ActionGap, "after"}) {
		t.Fatalf("got %v", got)
	}
	var d struct {
		Lost        int
		First, Last time.Time
	}
	if err := json.Unmarshal(records[3].Details, &d); err != nil || d.Lost != 3 || d.First.Before(begin) ||
		d.Last.Before(d.First) || records[3].Severity != audit.SeverityHigh {
		t.Errorf("%+v, %v", records[3], err)
	}
	wantSound(t, l.path)
}

func TestAppendKeepsItsDeadlineWhileTheDiskHangs(t *testing.T) {
	l := start(t, audit.Config{BusyTimeout: 5 * time.Second, Backlog: 2})
	l.add(t, "before")
	unlock := lock(t, l.path) // within BusyTimeout SQLite hangs as it would on a slow disk
	for i, lost := range []bool{false, false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		begin := time.Now()
		err := l.Append(ctx, audit.Record{Action: fmt.Sprint("late-", i)})
		cancel()
		notDurable(t, err, min(i+1, 2), lost, "deadline exceeded")
		if d := time.Since(begin); d > 4*time.Second {
			t.Errorf("returned after %v", d)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err := l.AddEntry(ctx, audit.Entry{List: audit.ListAllow, TargetType: "skill", TargetName: "x"}, "")
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "not known") {
		t.Errorf("a change that waits behind a hanging disk: %v; want it taken back", err)
	}
	unlock()
	l.add(t, "after")
	if got := actions(all(t, l)); !slices.Equal(got, []string{"before", "late-0", "late-1", audit.ActionGap, "after"}) {
		t.Errorf("got %v", got)
	}
	wantSound(t, l.path)
}

func TestATimeoutOfAChangeInProgressIsUnknown(t *testing.T) {
	l := start(t, audit.Config{BusyTimeout: 5 * time.Second, RetryEvery: time.Hour})
	l.add(t, "before")
	unlock := lock(t, l.path)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		_, _, err := l.AddEntry(ctx, audit.Entry{List: audit.ListAllow, TargetType: "skill", TargetName: "x"}, "")
		result <- err
	}()
	eventually(t, "Run has taken the change", l.Busy)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "its outcome is unknown") {
		t.Errorf("%v", err)
	}
	unlock()
	eventually(t, "it was made", func() bool { lists, err := l.Lists(); return err == nil && len(lists.Allow) == 1 })
	wantSound(t, l.path)
}

func TestAFullDatabaseDelaysRecordsAndLosesNone(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "before")
	l.LimitPages(t, 1) // SQLite takes no limit below what it has
	want := []string{"before"}
	var err error
	for i := 0; err == nil; i++ {
		name := fmt.Sprint("full-", i)
		want = append(want, name)
		err = l.Append(t.Context(), audit.Record{Action: name, Details: audit.JSON(strings.Repeat("x", 2000))})
	}
	notDurable(t, err, 1, false, "the disk is full: ")
	if h := l.Health(); h.OK || !strings.Contains(h.Error, "the disk is full") {
		t.Errorf("%+v", h)
	}
	l.LimitPages(t, 1<<30)
	l.add(t, "after")
	if got := actions(all(t, l)); !slices.Equal(got, append(want, "after")) {
		t.Errorf("got %v", got)
	}
	wantSound(t, l.path)
}

func TestRunReturnsUnwrittenRecords(t *testing.T) {
	l := start(t, audit.Config{Backlog: 2})
	l.add(t, "before")
	unlock := lock(t, l.path)
	for range 3 {
		if err := l.Append(t.Context(), audit.Record{Action: "x", Actor: "alice", Details: audit.JSON(1)}); err == nil {
			t.Fatal("written to a locked database")
		}
	}
	l.AppendLimited("192.0.2.1", audit.Record{Action: audit.ActionAuthRefused})
	l.AppendLimited("192.0.2.1", audit.Record{Action: audit.ActionAuthRefused})
	err := l.stop()
	var e *audit.UnwrittenError
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "another process has locked it") {
		t.Fatalf("%v", err)
	}
	if got := actions(e.Records); !slices.Equal(got, []string{"x", "x", audit.ActionGap, audit.ActionAuthRefused}) {
		t.Errorf("%v", got)
	}
	if r := e.Records[0]; r.Actor != "alice" || string(r.Details) != "1" || r.Seq != 0 || r.ID == "" || r.Time.IsZero() {
		t.Errorf("%+v", r)
	}
	unlock()
	if got := wantSound(t, l.path).Records; got != 1 {
		t.Errorf("%d records", got)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	for _, name := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func copyDatabase(t *testing.T, from, to string) {
	t.Helper()
	if _, err := raw(t, from).Exec("VACUUM INTO ?", to); err != nil {
		t.Fatal(err)
	}
}

func TestADatabaseRemovedWhileInUseIsReplaced(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "before")
	if _, _, err := l.AddEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: "bad", Reason: "why"}, ""); err != nil {
		t.Fatal(err)
	}
	gone := l.Health()
	remove(t, l.path)
	l.add(t, "after")
	records := all(t, l)
	if got := actions(records); !slices.Equal(got, []string{audit.ActionReplaced, "after"}) {
		t.Fatalf("got %v", got)
	}
	var d struct {
		Chain    string     `json:"previous_chain"`
		Head     audit.Head `json:"previous_head"`
		Restored int        `json:"entries_restored"`
	}
	if err := json.Unmarshal(records[0].Details, &d); err != nil || d.Chain != gone.ChainID ||
		d.Head != gone.Head || d.Restored != 1 || records[0].Severity != audit.SeverityHigh {
		t.Errorf("%+v, %v; the one before was %+v", d, err, gone)
	}
	if lists, err := l.Lists(); err != nil || len(lists.Block) != 1 || lists.Block[0].Reason != "why" {
		t.Errorf("what was blocked is not any more: %+v, %v", lists, err)
	}
	if h := l.Health(); !h.OK || h.ChainID == gone.ChainID || h.Head.Seq != 2 {
		t.Errorf("%+v", h)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, l.path)
	if n := scan[int](t, raw(t, l.path), "SELECT count(*) FROM list_entries WHERE list = 'block'"); n != 1 {
		t.Errorf("%d entries on the block list", n)
	}
}

func TestADatabaseRemovedBetweenNewAndRunIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	first := start(t, audit.Config{Path: path})
	first.add(t, "x")
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	l, err := audit.New(audit.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	remove(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx) }()
	eventually(t, "the new database says so", func() bool {
		found, err := l.Query(t.Context(), audit.Filter{Action: audit.ActionReplaced})
		return err == nil && len(found) == 1
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAnOlderCopyPutInPlaceIsContinued(t *testing.T) {
	l := start(t, audit.Config{})
	l.add(t, "one")
	backup := filepath.Join(t.TempDir(), "backup.db")
	copyDatabase(t, l.path, backup)
	l.add(t, "two")
	if _, _, err := l.AddEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: "bad"}, ""); err != nil {
		t.Fatal(err)
	}
	gone := l.Health()
	remove(t, l.path)
	if err := os.Rename(backup, l.path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is noticed without an append", func() bool {
		found, err := l.Query(t.Context(), audit.Filter{}) // an error between the two databases
		return err == nil && len(found) == 2 && found[0].Action == audit.ActionReplaced
	})
	l.add(t, "three")
	if got := actions(all(t, l)); !slices.Equal(got, []string{"one", audit.ActionReplaced, "three"}) {
		t.Errorf("got %v", got)
	}
	if h := l.Health(); h.ChainID != gone.ChainID || h.Head.Seq != 3 {
		t.Errorf("%+v", h)
	}
	if lists, err := l.Lists(); err != nil || len(lists.Block) != 1 {
		t.Errorf("the copy empties the block list: %+v, %v", lists, err)
	}
	if report := verify(t, l.path, gone.Head); report.OK {
		t.Error("a head noted from before is not missed")
	}
	wantSound(t, l.path)
}

func TestALogStartsOnALockedDatabaseAndHeals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	db := raw(t, path)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A new database whose first page is being written by another process.
	if _, err := conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	l := start(t, audit.Config{Path: path})
	notDurable(t, l.Append(t.Context(), audit.Record{Action: "x"}), 1, false, "locked")
	if lists, err := l.Lists(); err != nil || len(lists.Block)+len(lists.Allow) != 0 {
		t.Errorf("an empty database has empty lists: %+v, %v", lists, err)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is written", func() bool { return l.Health().OK && l.Health().Backlog == 0 })
	wantSound(t, path)
}

func TestListsThatCannotBeReadAreAnErrorAndNotEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	first := start(t, audit.Config{Path: path})
	if _, _, err := first.AddEntry(t.Context(), audit.Entry{List: audit.ListBlock, TargetType: "skill", TargetName: "bad"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	db := raw(t, path)
	sqlExec(t, db, "PRAGMA journal_mode=DELETE")
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE"); err != nil { // which keeps readers out, too
		t.Fatal(err)
	}
	l := start(t, audit.Config{Path: path})
	if lists, err := l.Lists(); err == nil || !strings.Contains(err.Error(), "lists could not be read") {
		t.Errorf("%+v, %v", lists, err)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they are read", func() bool { lists, err := l.Lists(); return err == nil && len(lists.Block) == 1 })
}

func TestARecordOfACommitReportedAsFailedIsWrittenOnce(t *testing.T) {
	l := start(t, audit.Config{RetryEvery: time.Hour})
	l.add(t, "before")
	unlock := lock(t, l.path)
	notDurable(t, l.Append(t.Context(), audit.Record{Action: "x"}), 1, false, "locked")
	unlock()
	l.WriteBehindItsBack(t) // as if that commit had reached the disk after all
	l.add(t, "after")
	if got := actions(all(t, l)); !slices.Equal(got, []string{"before", "x", "after"}) {
		t.Errorf("got %v", got)
	}
	wantSound(t, l.path)
}
