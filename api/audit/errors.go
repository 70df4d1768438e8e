package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrNotRunning is why nothing is written or read: [Log.Run] does not run yet, or has ended.
	ErrNotRunning = errors.New("the audit log does not run")
	// ErrNotListed says that there was no such entry to remove.
	ErrNotListed = errors.New("not on the list")
	// ErrNotOurs is why a database is left alone: another program made it.
	ErrNotOurs = errors.New("not a database of audit records")
)

// NotDurableError says that a record is not on disk. Unless Lost, it is kept in memory and written,
// in its order, once writing works again; a crash of the process before that loses it.
type NotDurableError struct {
	Action  string // of the record
	Backlog int    // records that wait, this one included unless Lost
	Lost    bool   // it is not kept: so many wait already, or the log has ended
	Err     error  // why
}

func (e *NotDurableError) Error() string {
	if e.Lost {
		return fmt.Sprintf("audit record %s is lost (%d wait already): %v", e.Action, e.Backlog, e.Err)
	}
	return fmt.Sprintf("audit record %s is not on disk yet (%d wait): %v", e.Action, e.Backlog, e.Err)
}

// Unwrap returns the cause.
func (e *NotDurableError) Unwrap() error { return e.Err }

// UnwrittenError is how [Log.Run] ends when records could not be written to the end. They are handed
// over so that they can be kept elsewhere, such as in the program's log.
type UnwrittenError struct {
	Records []Record // in their order, without Seq and Hash
	Err     error    // why
}

func (e *UnwrittenError) Error() string {
	return fmt.Sprintf("%d audit records could not be written: %v", len(e.Records), e.Err)
}

// Unwrap returns the cause.
func (e *UnwrittenError) Unwrap() error { return e.Err }

// VersionError is why a database is left alone: a newer program has changed its schema, or, for
// [OpenReadOnly], only the sidecar may bring it up to date.
type VersionError struct {
	Path         string
	Found, Known int
}

func (e *VersionError) Error() string {
	if e.Found < e.Known {
		return fmt.Sprintf("%s has schema version %d, and this program reads %d: start the sidecar once, which brings it up to date", e.Path, e.Found, e.Known)
	}
	return fmt.Sprintf("%s has schema version %d, and this program knows %d at most: use the newer program, or move the file away", e.Path, e.Found, e.Known)
}

// explain says in words what to do about an error of SQLite.
func explain(err error) error {
	var hint string
	switch code(err) {
	case sqlite3.SQLITE_FULL:
		hint = "the disk is full"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		hint = "another process has locked it"
	case sqlite3.SQLITE_READONLY:
		hint = "it cannot be written to"
	case sqlite3.SQLITE_NOTADB:
		hint = "it is not an SQLite database: move it away"
	case sqlite3.SQLITE_CORRUPT:
		hint = "it is damaged: move it away and keep it, sqlite3's .recover may read it"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}

// mayHeal reports whether time or room may mend err without anybody touching the file.
func mayHeal(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EIO)
}

// code is the primary result code of SQLite, 0 when err is none of its errors.
func code(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// inWords is what [Health] tells: one line.
func inWords(err error) string {
	if err == nil {
		return ""
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
