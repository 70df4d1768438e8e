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
	// ErrNotRunning means that [Log.Run] has not started or has ended: nothing is written or read.
	ErrNotRunning = errors.New("the audit log is not running")
	// ErrNotListed means that there is no such entry to remove.
	ErrNotListed = errors.New("not on the list")
	// ErrNotOurs means that another program made the database. It is left unchanged.
	ErrNotOurs = errors.New("not a database of audit records")
	// ErrNotOriginal means that a database is not one of the original gateway.
	ErrNotOriginal = errors.New("not a database of the original gateway")
)

// NotDurableError means that a record is not on disk. Unless Lost, it stays in memory and is written, in
// order, once writing works again. If the process crashes before that, the record is lost.
type NotDurableError struct {
	Action  string // of the record
	Backlog int    // number of records that wait, including this one unless Lost
	Lost    bool   // the record is dropped: the backlog is full, or the log has ended
	Err     error  // the cause
}

func (e *NotDurableError) Error() string {
	if e.Lost {
		return fmt.Sprintf("audit record %s is lost (%d are waiting): %v", e.Action, e.Backlog, e.Err)
	}
	return fmt.Sprintf("audit record %s is not on disk yet (%d are waiting): %v", e.Action, e.Backlog, e.Err)
}

// Unwrap returns the cause.
func (e *NotDurableError) Unwrap() error { return e.Err }

// UnwrittenError is the error of [Log.Run] if it could not write all records before it ended. It holds
// them, so that the caller can keep them elsewhere, for example in the program's log.
type UnwrittenError struct {
	Records []Record // in order, without Seq and Hash
	Err     error    // the cause
}

func (e *UnwrittenError) Error() string {
	return fmt.Sprintf("%d audit records could not be written: %v", len(e.Records), e.Err)
}

// Unwrap returns the cause.
func (e *UnwrittenError) Unwrap() error { return e.Err }

// VersionError means that the schema version of a database is not supported: a newer program wrote it, or,
// for [OpenReadOnly], an older one, and only the sidecar may migrate it. The database is left unchanged.
type VersionError struct {
	Path  string
	Found int // version of the database
	Want  int // version that this program reads and writes
}

func (e *VersionError) Error() string {
	if e.Found < e.Want {
		return fmt.Sprintf("%s has schema version %d, and this program reads version %d: start the sidecar once to migrate it",
			e.Path, e.Found, e.Want)
	}
	return fmt.Sprintf("%s has schema version %d, and this program supports at most version %d: "+
		"use the newer program, or move the file away", e.Path, e.Found, e.Want)
}

// explain adds to an error of SQLite what it means and what to do about it.
func explain(err error) error {
	var hint string
	switch code(err) {
	case sqlite3.SQLITE_FULL:
		hint = "the disk is full"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		hint = "another process has locked it"
	case sqlite3.SQLITE_READONLY:
		hint = "it is read-only"
	case sqlite3.SQLITE_NOTADB:
		hint = "it is not an SQLite database: move it away"
	case sqlite3.SQLITE_CORRUPT:
		hint = "it is damaged: move it away and keep it, the sqlite3 command .recover may read it"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}

// mayHeal reports whether err may go away without a change to the file: with time or disk space.
func mayHeal(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EIO)
}

// code is the primary result code of SQLite, 0 if err is not one of its errors.
func code(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// oneLine is the text of err for [Health], without line breaks; empty for nil.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
