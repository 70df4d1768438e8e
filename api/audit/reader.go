package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// Reader reads a database without a [Log]: one of a stopped sidecar, a copy, or one on a read-only disk. Its
// methods may be called concurrently.
type Reader struct {
	db   *sql.DB
	path string
}

// OpenReadOnly opens the database at path without changing it, also while a sidecar uses it. (In a writable
// directory SQLite may leave an empty file next to it, which the next sidecar removes.) Close the Reader
// after use.
func OpenReadOnly(ctx context.Context, path string) (*Reader, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("read audit records: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read audit records: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read audit records from %s: %w: it is not a regular file", path, ErrNotOurs)
	}
	r, err := openReader(ctx, path, false)
	if needsToWrite(err) && nothingInWAL(path) {
		// In WAL mode SQLite writes to a second file even to read, unless the database is immutable.
		if still, e := openReader(ctx, path, true); e == nil {
			return still, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read audit records from %s: %w", path, explain(err))
	}
	return r, nil
}

// oldestReadable is the version since which records and lists are what they are.
const oldestReadable = 2

func openReader(ctx context.Context, path string, immutable bool) (*Reader, error) {
	settings := reading(time.Second)
	if immutable {
		settings.Set("immutable", "1")
	}
	db, err := openDB(path, settings)
	if err != nil {
		return nil, err
	}
	version, err := versionOf(ctx, db, path)
	if err == nil && version < oldestReadable {
		err = &VersionError{Path: path, Found: version, Want: len(migrations)}
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Reader{db, path}, nil
}

// needsToWrite reports whether SQLite could not open the database because it cannot write; a lock is
// another error.
func needsToWrite(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return true
	}
	return false
}

// nothingInWAL reports whether the main database file holds all that was written.
func nothingInWAL(path string) bool {
	info, err := os.Stat(path + "-wal")
	return errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
}

// Query is [Log.Query].
func (r *Reader) Query(ctx context.Context, f Filter) ([]Record, error) { return query(ctx, r.db, f) }

// Verify is [Log.Verify]. A head that the sidecar noted next to the file is compared too.
func (r *Reader) Verify(ctx context.Context, noted ...Head) (VerifyReport, error) {
	w, err := readWitness(r.path)
	if err != nil {
		return VerifyReport{}, err
	}
	report, err := verify(ctx, r.db, noted)
	if err != nil || w == nil || !report.OK {
		return report, err // what is wrong in the file is said more precisely
	}
	c, err := readChain(ctx, r.db)
	if err != nil {
		return report, err
	}
	problem, err := w.disagrees(ctx, r.db, c)
	if problem != "" {
		report.OK = false
		report.Problems = append(report.Problems, Problem{Kind: ProblemHead, Seq: w.Head.Seq, Message: problem})
	}
	return report, err
}

// Close closes the database.
func (r *Reader) Close() error { return r.db.Close() }
