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

// store is an open database: one connection that writes, a few that read.
type store struct {
	path  string
	write *sql.DB
	read  *sql.DB
	file  os.FileInfo // what lay at path when it was opened
}

// openStore opens the database at path and brings its schema up to date; where there is none, it
// makes one.
func openStore(ctx context.Context, path string, busy time.Duration) (*store, error) {
	if err := ensureFile(path); err != nil {
		return nil, err
	}
	write, err := openDB(path, writing(busy))
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
		return fmt.Errorf("its journal mode is %s and cannot be made WAL: is it on a network file system?", mode)
	}
	return nil
}

func (s *store) close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// forgetWriter drops the writing connection after an error: what is wrong may lie in how it was
// opened, such as for reading only.
func (s *store) forgetWriter() {
	s.write.SetMaxIdleConns(0)
	s.write.SetMaxIdleConns(1)
}

// vanished reports that another file, or none, lies at the path now: SQLite would go on writing into
// a file that nobody can open any more.
func (s *store) vanished() bool {
	now, err := os.Stat(s.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return !os.SameFile(now, s.file)
}

// writing is how the log's own connection is set up. Each commit is synced (FULL): in WAL mode
// NORMAL would lose the last ones with the power.
func writing(busy time.Duration) url.Values {
	return url.Values{
		"_busy_timeout": {milliseconds(busy)},
		"_auto_vacuum":  {"INCREMENTAL"}, // taken only by a database that is new
		"_synchronous":  {"FULL"},
		"_txlock":       {"immediate"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_pragma":       {"fullfsync(1)", "checkpoint_fullfsync(1)", "journal_size_limit(4194304)", "trusted_schema(0)"},
	}
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

// openDB opens no file yet: database/sql does when it is first asked.
func openDB(path string, settings url.Values) (*sql.DB, error) {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive's letter
	}
	name := url.URL{Scheme: "file", Path: slashed, RawQuery: settings.Encode()}
	return sql.Open("sqlite", name.String())
}

// ensureFile makes an empty database that only its owner can read. SQLite gives the files beside it
// the same mode.
func ensureFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return createFile(path)
	case err != nil:
		return fmt.Errorf("open the audit database: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("open %s: %w: it is not a regular file", path, ErrNotOurs)
	case runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0:
		return nil
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keep the audit database from others: %w", err)
		}
	}
	return nil
}

func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make the audit database: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close(), syncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("make the audit database: %w", err)
	}
	return nil
}

// syncDir makes the name of a new file survive the loss of power.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // which has no such thing
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

// ignoreDone drops the error of a rollback that came by itself, with the end of a context.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
