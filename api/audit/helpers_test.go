package audit_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"defenseclaw/api/audit"

	_ "modernc.org/sqlite"
)

// running is a log whose Run runs.
type running struct {
	*audit.Log
	path string
	stop func() error // ends Run and gives its error
}

// start runs a log, in a new directory unless cfg names one, and ends it with the test.
func start(t testing.TB, cfg audit.Config) *running {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "audit.db")
	}
	if cfg.RetryEvery == 0 {
		cfg.RetryEvery = 10 * time.Millisecond
	}
	if cfg.BusyTimeout == 0 {
		cfg.BusyTimeout = 50 * time.Millisecond
	}
	l, err := audit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	r := &running{Log: l, path: cfg.Path}
	var result error
	stopped := false
	r.stop = func() error {
		if !stopped {
			cancel()
			result, stopped = <-ended, true
		}
		return result
	}
	t.Cleanup(func() { _ = r.stop() }) // the test asked for it, if it cares
	return r
}

// add appends records named by their actions and expects each on disk.
func (r *running) add(t testing.TB, actions ...string) {
	t.Helper()
	for _, a := range actions {
		if err := r.Append(context.Background(), audit.Record{Action: a}); err != nil {
			t.Fatalf("append %s: %v", a, err)
		}
	}
}

// all gives every record, oldest first.
func all(t testing.TB, from interface {
	Query(context.Context, audit.Filter) ([]audit.Record, error)
}) []audit.Record {
	t.Helper()
	var found []audit.Record
	for before := int64(0); ; {
		page, err := from.Query(context.Background(), audit.Filter{Before: before, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		found = append(found, page...)
		before = page[len(page)-1].Seq
	}
	for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
		found[i], found[j] = found[j], found[i]
	}
	return found
}

func actions(records []audit.Record) []string {
	var names []string
	for _, r := range records {
		names = append(names, r.Action)
	}
	return names
}

func read(t testing.TB, path string) *audit.Reader {
	t.Helper()
	r, err := audit.OpenReadOnly(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func verify(t testing.TB, path string, noted ...audit.Head) audit.VerifyReport {
	t.Helper()
	r, err := audit.OpenReadOnly(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	report, err := r.Verify(context.Background(), noted...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func wantSound(t testing.TB, path string) audit.VerifyReport {
	t.Helper()
	report := verify(t, path)
	if !report.OK || len(report.Problems) > 0 {
		t.Fatalf("not sound: %+v", report.Problems)
	}
	return report
}

// raw is the database as any program sees it.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path+"?_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func sqlExec(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func scan[T any](t testing.TB, db *sql.DB, query string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRow(query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("still not after a minute: %s", what)
}
