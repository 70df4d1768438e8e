package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	pruneBatch = 10_000 // records removed in one transaction; new records are written between two of them
	pruneKeeps = 64     // newest records that the size limit does not remove
)

// pruned is the details of a record of [ActionPrune]. The newest one must match the anchor of the chain.
type pruned struct {
	From    int64  `json:"from"`
	Through int64  `json:"through"`
	Hash    string `json:"hash"` // of the record Through
	Records int64  `json:"records"`
	Why     string `json:"why"`
	Lists   string `json:"lists_sha256"`

	Early  int64    `json:"early,omitempty"`  // records that were not of the age yet
	Served []string `json:"served,omitempty"` // revisions that these and earlier removed records say served, the newest first
}

// retain removes records over the limits of age and size, and returns the delay until its next call.
func (l *Log) retain(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	more, err := l.pruneOnce(ctx)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.health.RetentionDone, l.health.RetentionErr = &now, oneLine(err)
	if more && err == nil {
		return time.Millisecond // after waiting records are written
	}
	return l.cfg.PruneEvery
}

// pruneOnce removes a batch of records and reports whether there may be more to remove.
func (l *Log) pruneOnce(ctx context.Context) (more bool, err error) {
	s, _, err := l.open(ctx)
	if err != nil {
		return false, fmt.Errorf("remove old audit records: %w", err)
	}
	if l.previous != nil {
		return false, nil // flush must first record the replacement
	}
	var p *pruned
	var head Head
	w := &written{}
	l.saveWitness(ctx, s, true) // so that it is not of a record that is removed
	err = inTx(ctx, s.write, func(tx *sql.Tx) (err error) {
		c, err := readChain(ctx, tx)
		if err != nil {
			return err
		}
		if l.chainMoved(c) {
			l.wakeRun() // flush must first record that
			return nil
		}
		if p, err = l.choose(ctx, tx, c); err != nil || p == nil {
			return err
		}
		head, err = l.prune(ctx, tx, p, w)
		return err
	})
	if err != nil {
		s.forgetWriter()
		return false, fmt.Errorf("remove old audit records from %s: %w", s.path, explain(err))
	}
	if p != nil {
		l.mu.Lock()
		l.health.Head = head
		l.health.Written++
		l.health.Early += uint64(p.Early) // not negative
		l.mu.Unlock()
		l.sound(w.alarms)
	}
	left, err := s.shrink(ctx)
	return left || p != nil && p.Records == pruneBatch, err
}

// choose selects the records to remove; nil if there are none.
func (l *Log) choose(ctx context.Context, tx *sql.Tx, c chain) (*pruned, error) {
	p := &pruned{From: c.anchor.Seq + 1, Through: c.anchor.Seq}
	if l.cfg.MaxAge > 0 {
		// With + SQLite uses the index of seq.
		const young = "SELECT coalesce((SELECT seq FROM audit_events WHERE seq > ? AND +timestamp >= ? ORDER BY seq LIMIT 1), ? + 1) - 1"
		oldest := timeText(time.Now().Add(-l.cfg.MaxAge))
		if err := tx.QueryRowContext(ctx, young, c.anchor.Seq, oldest, c.head.Seq).Scan(&p.Through); err != nil {
			return nil, err
		}
		p.Why = "age"
	}
	if l.cfg.MaxBytes > 0 {
		through, err := l.tooMuch(ctx, tx, c)
		if err != nil {
			return nil, err
		}
		if through > p.Through {
			p.Through, p.Why = through, "size"
		}
	}
	p.Through = min(p.Through, c.anchor.Seq+pruneBatch)
	// If that record is missing from the table, the range ends with the one before it.
	const last = "SELECT seq, hash FROM audit_events WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
	err := tx.QueryRowContext(ctx, last, p.Through).Scan(&p.Through, &p.Hash)
	if errors.Is(err, sql.ErrNoRows) || err == nil && p.Through < p.From {
		return nil, nil
	}
	return p, err
}

// tooMuch returns the newest record to remove so that the rest take nine tenths of MaxBytes; 0 if none.
func (l *Log) tooMuch(ctx context.Context, tx *sql.Tx, c chain) (through int64, err error) {
	const pages = "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count), " +
		"(SELECT page_size FROM pragma_page_size)"
	var used, size int64
	if err := tx.QueryRowContext(ctx, pages).Scan(&used, &size); err != nil || used*size <= l.cfg.MaxBytes {
		return 0, err
	}
	// The file may hold other tables; only now is it worth measuring the records alone.
	const ours = "SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE AND name IN " +
		"(SELECT name FROM sqlite_schema WHERE tbl_name = 'audit_events')"
	var bytes sql.NullInt64
	if err := tx.QueryRowContext(ctx, ours).Scan(&bytes); err != nil || bytes.Int64 <= l.cfg.MaxBytes {
		return 0, err
	}
	records := c.head.Seq - c.anchor.Seq
	keep := int64(float64(records) * 0.9 * float64(l.cfg.MaxBytes) / float64(bytes.Int64))
	return c.head.Seq - max(keep, pruneKeeps), nil
}

// prune removes the records, moves the anchor, and adds a record of it.
func (l *Log) prune(ctx context.Context, tx *sql.Tx, p *pruned, w *written) (Head, error) {
	if err := l.describe(ctx, tx, p); err != nil {
		return Head{}, err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE audit_chain SET anchor_seq = ?, anchor_hash = ?", p.Through, p.Hash); err != nil {
		return Head{}, err
	}
	result, err := tx.ExecContext(ctx, "DELETE FROM audit_events WHERE seq <= ?", p.Through)
	if err != nil {
		return Head{}, err
	}
	if p.Records, err = result.RowsAffected(); err != nil {
		return Head{}, err
	}
	if p.Lists, err = listsHash(ctx, tx); err != nil {
		return Head{}, err
	}
	r := Record{Action: ActionPrune, Message: fmt.Sprintf("%d records up to %d were removed: %s", p.Records, p.Through, p.Why), Details: JSON(p)}
	if p.Early > 0 {
		r.Severity = SeverityWarn
		r.Message += fmt.Sprintf("; %d of them were younger than audit.max_age: raise audit.max_bytes to keep them", p.Early)
	}
	v, err := prepare(r, l.cfg.RunID)
	if err != nil {
		return Head{}, err
	}
	if p.Early > 0 {
		w.alarm(&v)
	}
	a, err := appendTo(ctx, tx)
	if err != nil {
		return Head{}, err
	}
	if err := a.add(ctx, &v); err != nil {
		return Head{}, err
	}
	return a.head, a.saveHead(ctx)
}

const maxServed = 16 // revisions that a record of retention keeps

// describe finds out what a removal takes away before its time, and which revisions the removed records vouch for.
func (l *Log) describe(ctx context.Context, tx *sql.Tx, p *pruned) error {
	if p.Why == "size" {
		young := "" // all are, where age removes none
		if l.cfg.MaxAge > 0 {
			young = timeText(time.Now().Add(-l.cfg.MaxAge))
		}
		const early = "SELECT count(*) FROM audit_events WHERE seq <= ? AND +timestamp >= ?"
		if err := tx.QueryRowContext(ctx, early, p.Through, young).Scan(&p.Early); err != nil {
			return err
		}
	}
	removed, err := columnOf[string](ctx, tx, "SELECT revision_to FROM audit_events WHERE seq <= ? AND "+servedRecords+
		" GROUP BY revision_to ORDER BY max(seq) DESC LIMIT ?", p.Through, maxServed)
	if err != nil {
		return err
	}
	before, err := prunedServed(ctx, tx)
	if err != nil {
		return err
	}
	for _, revision := range append(removed, before...) {
		if len(p.Served) < maxServed && !slices.Contains(p.Served, revision) {
			p.Served = append(p.Served, revision)
		}
	}
	return nil
}

// shrink returns some free pages to the file system and reports whether there are more. A database of an
// earlier system, without incremental vacuum, reuses its free pages instead.
func (s *store) shrink(ctx context.Context) (more bool, err error) {
	const state = "SELECT (SELECT freelist_count FROM pragma_freelist_count), (SELECT auto_vacuum FROM pragma_auto_vacuum)"
	const incremental, maxPages = 2, 4096
	var free, mode int
	if err = s.write.QueryRowContext(ctx, state).Scan(&free, &mode); err == nil && (free == 0 || mode != incremental) {
		return false, nil
	}
	for _, pragma := range []string{fmt.Sprintf("PRAGMA incremental_vacuum(%d)", maxPages), "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if err == nil {
			_, err = s.write.ExecContext(ctx, pragma)
		}
	}
	if err != nil {
		return false, fmt.Errorf("shrink %s: %w", s.path, explain(err))
	}
	return free > maxPages, nil
}
