package originalhome

import (
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver that the original uses too, so times have the form in which it writes them
)

//go:embed schema.sql
var schema string

// Version is the schema version of a home's database.
const Version = 34

// Events is how many rows audit_events has.
const Events = 4

var day = time.Date(2026, 8, 19, 10, 0, 0, 123456789, time.UTC)

// makeDatabase makes audit.db. killed leaves its -wal beside it, with rows that are nowhere else.
func makeDatabase(path string, killed bool) (err error) {
	if !killed {
		return fill(path, func() error { return nil })
	}
	// The files are copied while the database is open: as a process leaves them that is killed.
	work, err := os.MkdirTemp(filepath.Dir(path), ".making-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	from := filepath.Join(work, "audit.db")
	return fill(from, func() error {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			text, err := os.ReadFile(from + suffix)
			if err != nil {
				return err
			}
			if err := os.WriteFile(path+suffix, text, 0o600); err != nil {
				return err
			}
		}
		return nil
	})
}

// fill makes a database and calls while with it open: the schema is in the file and the rows in its -wal.
func fill(path string, while func() error) (err error) {
	db, err := sql.Open("sqlite", path+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(ON)")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, statement := range []string{schema, "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_autocheckpoint = 0"} {
		if _, err := db.Exec(statement); err != nil { //nolint:noctx // of a test's fixture
			return fmt.Errorf("make the database: %w", err)
		}
	}
	for _, r := range rows() {
		if _, err := db.Exec(r.insert, r.values...); err != nil { //nolint:noctx // so
			return fmt.Errorf("%s: %w", r.insert, err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	return while()
}

type row struct {
	insert string
	values []any
}

func rows() []row {
	all := []row{{"INSERT INTO schema_version VALUES (?, ?)", []any{Version, day}}}
	return append(append(append(all, events()...), actions()...), others()...)
}

// events are rows of two ages: one from before the columns of version 8, three with them.
func events() []row {
	const old = "INSERT INTO audit_events (id, timestamp, action, target, actor, details, severity, run_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
	const newer = `INSERT INTO audit_events (id, timestamp, action, target, actor, details, structured_json, severity, run_id, schema_version,
		bucket, event_name, source, signal, mandatory, payload_json) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 8, ?, ?, ?, 'log', ?, '{}')`
	at := func(minutes int) time.Time { return day.Add(time.Duration(minutes) * time.Minute) }
	return []row{
		{old, []any{"5f0c1c9e-0000-4000-8000-000000000001", at(0), "skill-block", "evil-one", "defenseclaw", "reason=stole keys", "HIGH", "run-1"}},
		{newer, []any{
			"5f0c1c9e-0000-4000-8000-000000000002", at(1), "policy-reload", "policies", "audit_logger", "policy.updated",
			`{"defenseclaw.admin.operation":"policy-reload","defenseclaw.admin.origin":"api"}`, "INFO", "run-1",
			"compliance.activity", "policy.updated", "operator_api", 1,
		}},
		{newer, []any{
			"5f0c1c9e-0000-4000-8000-000000000003", at(2), "policy-reload", "policies", "audit_logger", "policy.reload.rejected",
			`{"defenseclaw.admin.operation":"policy-reload","defenseclaw.admin.origin":"api"}`, "HIGH", "run-2",
			"compliance.activity", "policy.reload.rejected", "operator_api", 1,
		}},
		{newer, []any{
			"5f0c1c9e-0000-4000-8000-000000000004", at(3), "scan", "bad-server", "scanner", nil, nil, "CRITICAL", nil,
			"security.finding", "scan.completed", "scanner", 0,
		}},
	}
}

// actions are the block and allow lists, and rows that belong to neither.
func actions() []row {
	const insert = "INSERT INTO actions (id, target_type, target_name, source_path, actions_json, reason, updated_at, connector) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
	entry := func(n int, kind, name, actions string, reason any, connector string) row {
		return row{insert, []any{fmt.Sprintf("6a0c1c9e-0000-4000-8000-%012d", n), kind, name, nil, actions, reason, day.Add(time.Duration(n) * time.Minute), connector}}
	}
	return []row{
		entry(1, "skill", "evil-one", `{"install":"block"}`, "stole keys", ""),
		entry(2, "mcp", "bad-server", `{"file":"quarantine","runtime":"disable","install":"block"}`, "scanned critical", ""),
		entry(3, "skill", "trusted-helper", `{"install":"allow"}`, "reviewed", ""),
		entry(4, "plugin", "kept-aside", `{"file":"quarantine"}`, nil, ""),
		entry(5, "skill", "only-for-codex", `{"install":"block"}`, "of one connector", "codex"),
	}
}

func others() []row {
	return []row{
		{"INSERT INTO scan_results (id, scanner, target, timestamp, finding_count, max_severity) VALUES ('s1', 'mcp-scanner', 'bad-server', ?, 1, 'CRITICAL')", []any{day}},
		{"INSERT INTO scan_findings (id, scan_id, scanner, target, severity, title, timestamp) VALUES ('f1', 's1', 'mcp-scanner', 'bad-server', 'CRITICAL', 'reads keys', ?)", []any{day}},
		{"INSERT INTO activity_events (id, timestamp, actor, action, target_type, target_id) VALUES ('a1', ?, 'cli', 'block', 'skill', 'evil-one')", []any{day}},
		{"INSERT INTO observability_store_readiness VALUES (1, 12, ?)", []any{day}},
	}
}
