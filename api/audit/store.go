package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// store is an open database: one connection for writing, up to three for reading. Those are opened when they are needed
// first, and New needs none. Run needs one from the first record on (saveWitness): if forgetWriter closed the last connection,
// SQLite would remove its second file, and a full disk would have room for some records and not for others.
type store struct {
	path  string
	write *sql.DB
	read  *sql.DB
	file  os.FileInfo // the file at path when it was opened
}

// openStore opens the database at path and migrates its schema. It creates the database if there is none.
func openStore(ctx context.Context, path string, busy time.Duration) (*store, error) {
	empty, err := ensureFile(path)
	if err != nil {
		return nil, err
	}
	settings := writing(busy)
	if empty {
		settings = creating(busy)
	}
	write, err := openDB(path, settings)
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	read, err := openDB(path, reading(busy))
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(3)
	s := &store{path: path, write: write, read: read}
	if err = s.prepare(ctx); err == nil {
		s.file, err = os.Stat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, errors.Join(explain(err), s.close()))
	}
	return s, nil
}

func (s *store) prepare(ctx context.Context) error {
	if err := migrate(ctx, s.write, s.path); err != nil {
		return err
	}
	var mode string
	if err := s.write.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("its journal mode is %s and cannot be changed to WAL: is it on a network file system?", mode)
	}
	return nil
}

func (s *store) close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// forgetWriter closes the connection for writing after an error: the cause may be how it was opened, for
// example read-only.
func (s *store) forgetWriter() {
	s.write.SetMaxIdleConns(0)
	s.write.SetMaxIdleConns(1)
}

// vanished reports whether the file at path is gone or another one. SQLite would go on writing to the old
// file, which has no name any more.
func (s *store) vanished() bool {
	now, err := os.Stat(s.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return !os.SameFile(now, s.file)
}

// writing returns the settings of the connection for writing. Each commit is synced (FULL): in WAL mode
// NORMAL could lose the last commits with the power.
func writing(busy time.Duration) url.Values {
	return url.Values{
		"_busy_timeout": {milliseconds(busy)},
		"_synchronous":  {"FULL"},
		"_txlock":       {"immediate"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_pragma":       {"fullfsync(1)", "checkpoint_fullfsync(1)", "journal_size_limit(4194304)", "trusted_schema(0)"},
	}
}

// creating is writing for a database that is empty. Only such a one takes the setting; of another one SQLite would write it
// again, and sync three times.
func creating(busy time.Duration) url.Values {
	settings := writing(busy)
	settings.Set("_auto_vacuum", "INCREMENTAL")
	return settings
}

func reading(busy time.Duration) url.Values {
	return url.Values{
		"mode":          {"ro"},
		"_busy_timeout": {milliseconds(busy)},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_query_only":   {"1"},
		"_pragma":       {"trusted_schema(0)"},
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// openDB returns a handle; database/sql opens the file at the first query.
func openDB(path string, settings url.Values) (*sql.DB, error) {
	return sql.Open("sqlite", fileURI(path, settings))
}

func fileURI(path string, settings url.Values) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive letter
	}
	name := url.URL{Scheme: "file", Path: slashed, RawQuery: settings.Encode()}
	return name.String()
}

// ensureFile creates an empty database that only its owner can read, and reports whether it is empty. SQLite gives its -wal
// and -shm files the same mode.
func ensureFile(path string) (empty bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, createFile(path)
	case err != nil:
		return false, fmt.Errorf("open the audit database: %w", err)
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("open %s: %w: it is not a regular file", path, ErrNotOurs)
	case runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0:
		return info.Size() == 0, nil
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("restrict the audit database to its owner: %w", err)
		}
	}
	return info.Size() == 0, nil
}

func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("create the audit database: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close(), syncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("create the audit database: %w", err)
	}
	return nil
}

// syncDir makes the name of a new file survive the loss of power. engine/history has the same function, but
// this package is independent of the engine.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows cannot sync a directory
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// inTx runs do in one transaction.
func inTx(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// ignoreDone drops the error of a rollback after the end of a context has already rolled back.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
