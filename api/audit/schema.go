package audit

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// applicationID ("DCAu") marks a database as an audit log of this program.
const applicationID = 0x44434175

// migrations[n] migrates a database from version n to n+1 in one transaction. Add new ones at the end, and
// never change the existing ones.
var migrations = []func(context.Context, *sql.Tx) error{
	createEvents, // 1: records and their chain
	createLists,  // 2: the block and allow lists
	createImport, // 3: whether the original gateway's lists were taken over
}

// migrate brings the database to the newest version. It refuses a newer one and one of another program.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	for {
		version, err := versionOf(ctx, db, path)
		if err != nil {
			return err
		}
		if version == len(migrations) {
			return addExpiry(ctx, db)
		}
		err = inTx(ctx, db, func(tx *sql.Tx) error {
			if err := migrations[version](ctx, tx); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d", applicationID, version+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("migrate its schema to version %d: %w", version+1, err)
		}
	}
}

// querier is implemented by *sql.DB, *sql.Conn and *sql.Tx.
type querier interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// versionOf returns the schema version: 0 for an empty database.
func versionOf(ctx context.Context, db querier, path string) (version int, err error) {
	var application, tables int
	const state = "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), " +
		"(SELECT count(*) FROM sqlite_schema)"
	if err := db.QueryRowContext(ctx, state).Scan(&application, &version, &tables); err != nil {
		return 0, err
	}
	switch {
	case application == applicationID && version > len(migrations):
		return 0, &VersionError{Path: path, Found: version, Want: len(migrations)}
	case application == applicationID:
		return version, nil
	case application != 0 || version != 0 || tables > 0:
		return 0, fmt.Errorf("%w: its application id is %d, its version %d, and it has tables; move it away", ErrNotOurs, application, version)
	}
	return 0, nil
}

const (
	// Readers of earlier systems select the columns up to run_id.
	chainTables = `
CREATE TABLE audit_events (
	id TEXT PRIMARY KEY,
	timestamp DATETIME NOT NULL,
	action TEXT NOT NULL,
	target TEXT,
	actor TEXT NOT NULL DEFAULT 'defenseclaw',
	details TEXT,
	structured_json TEXT,
	severity TEXT,
	run_id TEXT,
	outcome TEXT,
	revision_from TEXT,
	revision_to TEXT,
	generation INTEGER,
	request_id TEXT,
	seq INTEGER,
	prev_hash TEXT,
	hash TEXT
);
CREATE INDEX idx_audit_timestamp ON audit_events(timestamp);
CREATE INDEX idx_audit_action ON audit_events(action);
CREATE INDEX idx_audit_severity_timestamp ON audit_events(severity, timestamp);
CREATE UNIQUE INDEX audit_events_seq ON audit_events(seq);
CREATE TABLE audit_chain (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	id TEXT NOT NULL,
	started_at TEXT NOT NULL,
	head_seq INTEGER NOT NULL,
	head_hash TEXT NOT NULL,
	anchor_seq INTEGER NOT NULL,
	anchor_hash TEXT NOT NULL
);`

	// The triggers prevent accidents, not tampering: they can be dropped.
	triggers = `
CREATE TRIGGER audit_events_unchanged BEFORE UPDATE ON audit_events WHEN OLD.seq IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'audit records are not changed'); END;
CREATE TRIGGER audit_events_kept BEFORE DELETE ON audit_events
WHEN OLD.seq > (SELECT anchor_seq FROM audit_chain)
BEGIN SELECT RAISE(ABORT, 'audit records are removed by retention only'); END;`
)

func createEvents(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, chainTables); err != nil {
		return err
	}
	id, startedAt := uuid.NewString(), timeText(time.Now())
	first := genesis(id, startedAt)
	if _, err := tx.ExecContext(ctx, "INSERT INTO audit_chain VALUES (1, ?, ?, 0, ?, 0, ?)", id, startedAt, first, first); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, triggers)
	return err
}

func createLists(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `CREATE TABLE list_entries (
	list TEXT NOT NULL CHECK (list IN ('block', 'allow')),
	target_type TEXT NOT NULL,
	target_name TEXT NOT NULL,
	reason TEXT NOT NULL,
	source_path TEXT NOT NULL,
	actor TEXT NOT NULL,
	created_at TEXT NOT NULL,
	PRIMARY KEY (list, target_type, target_name)
)`)
	return err
}

// createImport makes a table of at most one row: what the lists of the original gateway were when they were taken over.
func createImport(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `CREATE TABLE list_import (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	imported_at TEXT NOT NULL,
	sha256 TEXT NOT NULL
)`)
	return err
}
