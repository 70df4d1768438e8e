package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// servedRecords selects the records that say that a revision began or went on to serve.
const servedRecords = "action IN ('" + ActionPolicyReload + "', '" + ActionPolicyRestored + "') AND outcome IN ('" +
	OutcomeApplied + "', '" + OutcomeUnchanged + "') AND revision_to <> '' AND typeof(seq) = 'integer'"

// ErrNotServed means that no record says that a revision served.
var ErrNotServed = errors.New("the audit log has no record that it served")

// Served returns when the newest record says that a revision served, at or after since unless the record was removed by
// retention: the time is zero then. It is [ErrNotServed] that there is no such record, that it does not fit
// into the chain, or that the database is another one than at the last stop. It reads what Run wrote or, where Run could
// not open the database, the file.
func (l *Log) Served(ctx context.Context, revision string) (time.Time, error) {
	l.mu.Lock()
	suspect := l.suspect
	l.mu.Unlock()
	if suspect != nil {
		return time.Time{}, fmt.Errorf("%w: %w", ErrNotServed, suspect)
	}
	if s := l.store.Load(); s != nil {
		return served(ctx, s.read, revision)
	}
	r, err := OpenReadOnly(ctx, l.cfg.Path)
	if err != nil {
		return time.Time{}, err
	}
	at, err := served(ctx, r.db, revision)
	return at, errors.Join(err, r.Close())
}

func served(ctx context.Context, db querier, revision string) (time.Time, error) {
	c, err := readChain(ctx, db)
	if err != nil {
		return time.Time{}, err
	}
	var newest *row
	const where = "WHERE " + servedRecords + " AND revision_to = ? AND seq <= ? ORDER BY seq DESC LIMIT 1"
	if err := eachRow(ctx, db, "seq", where, []any{revision, c.head.Seq}, func(r *row) error { newest = r; return nil }); err != nil {
		return time.Time{}, err
	}
	if newest == nil {
		revisions, err := prunedServed(ctx, db)
		for _, r := range revisions {
			if r == revision {
				return time.Time{}, err
			}
		}
		return time.Time{}, errors.Join(ErrNotServed, err)
	}
	if fits, err := fitsChain(ctx, db, c, newest); err != nil || !fits {
		return time.Time{}, errors.Join(fmt.Errorf("%w: record %d was altered or inserted", ErrNotServed, newest.seq), err)
	}
	return parseTime(text(newest.values.timestamp)), nil
}

// fitsChain reports whether a record has its hash, and the next one was chained to it.
func fitsChain(ctx context.Context, db querier, c chain, r *row) (bool, error) {
	if chainHash(r.prev, r.seq, &r.values) != r.hash {
		return false, nil
	}
	if r.seq == c.head.Seq {
		return r.hash == c.head.Hash, nil
	}
	next, err := columnOf[string](ctx, db, "SELECT prev_hash FROM audit_events WHERE seq = ?", r.seq+1)
	return len(next) == 1 && next[0] == r.hash, err
}

// prunedServed returns the revisions that the newest record of retention keeps. It must fit into the chain.
func prunedServed(ctx context.Context, db querier) ([]string, error) {
	c, err := readChain(ctx, db)
	if err != nil {
		return nil, err
	}
	var newest *row
	const where = "WHERE action = ? AND typeof(seq) = 'integer' AND seq <= ? ORDER BY seq DESC LIMIT 1"
	if err := eachRow(ctx, db, "seq", where, []any{ActionPrune, c.head.Seq}, func(r *row) error { newest = r; return nil }); err != nil || newest == nil {
		return nil, err
	}
	if fits, err := fitsChain(ctx, db, c, newest); err != nil || !fits {
		return nil, err
	}
	p := &pruned{}
	if err := json.Unmarshal([]byte(text(newest.values.structuredJSON)), p); err != nil {
		return nil, fmt.Errorf("record %d: %w", newest.seq, err)
	}
	return p.Served, nil
}
