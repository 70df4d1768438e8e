package audit

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"
)

// Rehash recomputes the hashes of the records from seq on, as an attacker would who alters one and has the
// source code.
func Rehash(ctx context.Context, db *sql.DB, from int64) error {
	var prev string
	if err := db.QueryRowContext(ctx, "SELECT prev_hash FROM audit_events WHERE seq = ?", from).Scan(&prev); err != nil {
		return err
	}
	var all []row
	err := eachRow(ctx, db, "seq", "WHERE seq >= ? ORDER BY seq", []any{from}, func(r *row) error {
		all = append(all, *r)
		return nil
	})
	for _, r := range all {
		hash := chainHash(prev, r.seq, &r.values)
		if _, err := db.ExecContext(ctx, "UPDATE audit_events SET prev_hash = ?, hash = ? WHERE seq = ?", prev, hash, r.seq); err != nil {
			return err
		}
		prev = hash
	}
	if err == nil {
		_, err = db.ExecContext(ctx, "UPDATE audit_chain SET head_hash = ?", prev)
	}
	return err
}

// LimitPages bounds the database as a full disk would.
func (l *Log) LimitPages(t testing.TB, n int) {
	t.Helper()
	if _, err := l.store.Load().write.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count=%d", n)); err != nil {
		t.Fatal(err)
	}
}

// Busy reports whether Run is writing something.
func (l *Log) Busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) > 0 && l.queue[0].taken
}

// WriteBehindItsBack writes the queue and leaves it as it is, once Run has ended the try that it may
// be at.
func (l *Log) WriteBehindItsBack(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 && l.queue[0].taken {
		l.mu.Unlock()
		time.Sleep(time.Millisecond)
		l.mu.Lock()
	}
	err := inTx(t.Context(), l.store.Load().write, func(tx *sql.Tx) error {
		a, err := appendTo(t.Context(), tx)
		if err != nil {
			return err
		}
		for _, it := range l.queue {
			if err := a.add(t.Context(), &it.values); err != nil {
				return err
			}
		}
		return a.saveHead(t.Context())
	})
	if err != nil {
		t.Fatal(err)
	}
}
