package audit

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// An earlier version of this program kept its log in the file of the original gateway, or in one of its own with that
// name. bringAlong moves such a log to the path to, once and with all of its records. Each step leaves a state from which the next
// start goes on, so a crash loses nothing. A file that is not marked as ours is not opened for writing.
func bringAlong(ctx context.Context, from, to string, busy time.Duration) error {
	if from == "" {
		return nil
	}
	there, err := exists(to)
	if err != nil {
		return err
	}
	if !there { // also without a database: the witness tells that one is missing
		if err := moveWitness(from, to); err != nil {
			return err
		}
	}
	if ours, err := isOurs(ctx, from); err != nil || !ours {
		return err
	}
	if there {
		if same, err := sameChain(ctx, from, to); err != nil || !same {
			return errors.Join(err, fmt.Errorf("%s and %s both hold an audit log of this program: move %s away, and take its lists over by list import --from",
				from, filepath.Base(to), filepath.Base(from)))
		}
		return giveBack(ctx, from, busy) // it was copied before a crash
	}
	alone, err := isAlone(ctx, from)
	if err != nil {
		return err
	}
	if alone {
		return moveLog(ctx, from, to, busy)
	}
	if err := copyLog(ctx, from, to, busy); err != nil {
		return err
	}
	return giveBack(ctx, from, busy)
}

// exists reports whether there is a database with content.
func exists(path string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Size() > 0, err
}

func moveWitness(from, to string) error {
	if _, err := os.Lstat(witnessPath(to)); err == nil {
		return nil
	}
	if err := os.Rename(witnessPath(from), witnessPath(to)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// isOurs reports whether an earlier version marked the file. It reads the mark itself where it can: a damaged file of ours
// must not pass for another program's.
func isOurs(ctx context.Context, path string) (bool, error) {
	if file, err := filepath.EvalSymlinks(path); err == nil {
		path = file
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false, nil //nolint:nilerr // what cannot be looked at has no mark; who reads it says why
	}
	const mark = 68 // where SQLite's header has the application id
	header := make([]byte, mark+4)
	f, err := os.Open(path) //nolint:gosec // in the data directory
	if err != nil {
		return false, nil //nolint:nilerr // the same
	}
	_, err = io.ReadFull(f, header)
	if err = errors.Join(err, f.Close()); err != nil || !bytes.HasPrefix(header, []byte("SQLite format 3\x00")) {
		return false, nil //nolint:nilerr // too short for a database
	}
	if binary.BigEndian.Uint32(header[mark:]) == applicationID {
		return true, nil
	}
	if nothingInWAL(path) {
		return false, nil
	}
	o, err := openOriginal(ctx, path, true) // the mark may not have reached the file itself
	if err != nil {
		return false, nil //nolint:nilerr // who reads it says why
	}
	var application int
	err = o.db.QueryRowContext(ctx, "SELECT application_id FROM pragma_application_id").Scan(&application)
	return err == nil && application == applicationID, o.Close()
}

// isAlone reports whether the file holds nothing but what this program wrote.
func isAlone(ctx context.Context, path string) (alone bool, err error) {
	db, err := openDB(path, reading(time.Second))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(explainAt("read", path, err), db.Close()) }()
	if _, err := versionOf(ctx, db, path); err != nil {
		return false, err
	}
	const others = "SELECT (SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' " +
		"AND name NOT IN ('audit_events', 'audit_chain', 'list_entries', 'list_import')) + " +
		"(SELECT count(*) FROM audit_events WHERE typeof(seq) <> 'integer' OR action = 'audit-adopted')"
	var n int
	if err := db.QueryRowContext(ctx, others).Scan(&n); err != nil {
		return false, err
	}
	return n == 0, nil
}

// moved is the record of a log that was brought along.
func moved(from string) Record {
	return Record{
		Action: ActionMoved, Target: from,
		Message: "an earlier version kept the records up to here in " + filepath.Base(from) + "; its log goes on in a file of its own",
	}
}

func addMoved(ctx context.Context, tx *sql.Tx, from string) error {
	v, err := prepare(moved(from), "")
	if err != nil {
		return err
	}
	a, err := appendTo(ctx, tx)
	if err != nil {
		return err
	}
	if err := a.add(ctx, &v); err != nil {
		return err
	}
	return a.saveHead(ctx)
}

// moveLog renames the file once all of it is in it: SQLite's second file would not be found under the new name.
func moveLog(ctx context.Context, from, to string, busy time.Duration) (err error) {
	db, err := openDB(from, writing(busy))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	err = inTx(ctx, db, func(tx *sql.Tx) error { return addMoved(ctx, tx, from) })
	for _, pragma := range []string{"PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode=DELETE"} {
		if err == nil {
			_, err = db.ExecContext(ctx, pragma)
		}
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return explainAt("move", from, err)
	}
	if !nothingInWAL(from) {
		return fmt.Errorf("move %s: another process has it open: end it and start again", from)
	}
	return errors.Join(os.Rename(from, to), syncDir(filepath.Dir(to)))
}

// copyLog copies the chain and the lists to a new file, which gets its name when it is whole.
func copyLog(ctx context.Context, from, to string, busy time.Duration) error {
	temp := to + ".new"
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} { // of an attempt that ended in a crash
		if err := os.Remove(temp + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := createFile(temp); err != nil {
		return err
	}
	db, err := openDB(temp, creating(busy))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if err := errors.Join(fill(ctx, db, temp, from), db.Close()); err != nil {
		return explainAt("copy the audit log in", from, err)
	}
	return errors.Join(os.Rename(temp, to), syncDir(filepath.Dir(to)))
}

// fill copies what from holds into the new database db. The types of the values must stay: the hashes depend on them.
func fill(ctx context.Context, db *sql.DB, path, from string) error {
	if err := migrate(ctx, db, path); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "ATTACH ? AS earlier", fileURI(from, url.Values{"mode": {"ro"}})); err != nil {
		return err
	}
	lists, err := columnOf[int](ctx, db, "SELECT 1 FROM earlier.sqlite_schema WHERE name = 'list_entries'") // version 1 had none
	if err != nil {
		return err
	}
	columns := "seq, prev_hash, hash, " + columnNames()
	records := "SELECT " + columns + " FROM earlier.audit_events WHERE typeof(seq) = 'integer'"
	statements := []string{
		"DELETE FROM main.audit_chain",
		"INSERT INTO main.audit_chain SELECT * FROM earlier.audit_chain",
		"INSERT INTO main.audit_events (" + columns + ") " + records + " ORDER BY seq",
	}
	if len(lists) > 0 {
		statements = append(statements, "INSERT INTO main.list_entries ("+entryColumns+") SELECT "+entryColumns+" FROM earlier.list_entries")
	}
	return inTx(ctx, db, func(tx *sql.Tx) error {
		for _, s := range statements {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		differ, err := columnOf[int](ctx, tx, "SELECT count(*) FROM ("+records+" EXCEPT SELECT "+columns+" FROM main.audit_events)")
		if err != nil {
			return err
		}
		if differ[0] > 0 {
			return fmt.Errorf("%d records differ in the copy", differ[0])
		}
		return addMoved(ctx, tx, from)
	})
}

// sameChain reports whether both files hold the same chain, and to all of its records.
func sameChain(ctx context.Context, from, to string) (bool, error) {
	var chains [2]chain
	for i, path := range []string{from, to} {
		db, err := openDB(path, reading(time.Second))
		if err != nil {
			return false, err
		}
		chains[i], err = readChain(ctx, db)
		if i == 1 && err == nil && chains[0].id == chains[1].id {
			var there bool
			there, err = isAncestor(ctx, db, chains[1], chains[0].head)
			if !there {
				chains[0].id = ""
			}
		}
		if err = errors.Join(err, db.Close()); err != nil {
			return false, explainAt("read", path, err)
		}
	}
	return chains[0].id == chains[1].id, nil
}

// giveBack makes a database that an earlier version had adopted the original gateway's again, in one transaction: without our
// marks, tables and triggers, which kept its retention from removing anything. Records stay, also those that we wrote, and
// so do the columns that we added: both are in nobody's way.
func giveBack(ctx context.Context, path string, busy time.Duration) error {
	db, err := openDB(path, writing(busy))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	err = inTx(ctx, db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, strings.Join([]string{
			"DROP TRIGGER IF EXISTS audit_events_unchanged", "DROP TRIGGER IF EXISTS audit_events_kept",
			"DROP INDEX IF EXISTS audit_events_seq", "DROP TABLE IF EXISTS audit_chain", "DROP TABLE IF EXISTS list_entries",
			"DROP TABLE IF EXISTS list_import",
			"PRAGMA application_id=0", "PRAGMA user_version=0",
		}, "; "))
		return err
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return explainAt("give back", path, err)
	}
	return nil
}

func explainAt(what, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, path, explain(err))
}
