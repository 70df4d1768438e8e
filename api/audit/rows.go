package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// The time is selected as an expression, which the driver gives back as it lies in the table.
var selectColumns = strings.Replace(columns, "timestamp", "+timestamp", 1)

// eachRow calls do for the rows that where selects; place is the expression that gives their seq.
// The row is do's until it returns.
func eachRow(ctx context.Context, db querier, place, where string, args []any, do func(*row) error) (err error) {
	rows, err := db.QueryContext(ctx, "SELECT "+place+", prev_hash, hash, "+selectColumns+" FROM audit_events "+where, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r row
		var prev, hash any
		dest := []any{&r.seq, &prev, &hash}
		for i := range r.values {
			dest = append(dest, &r.values[i])
		}
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		r.prev, r.hash = text(prev), text(hash)
		if err := do(&r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// columnOf gives the only column of a query's rows.
func columnOf[T any](ctx context.Context, db querier, query string, args ...any) (all []T, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// chain is the one row of audit_chain.
type chain struct {
	id, startedAt string
	head          Head // the newest record
	anchor        Head // the newest that retention removed; before the first, what genesis gives
}

func readChain(ctx context.Context, db querier) (c chain, err error) {
	const query = "SELECT id, started_at, head_seq, head_hash, anchor_seq, anchor_hash FROM audit_chain"
	err = db.QueryRowContext(ctx, query).Scan(&c.id, &c.startedAt, &c.head.Seq, &c.head.Hash, &c.anchor.Seq, &c.anchor.Hash)
	if errors.Is(err, sql.ErrNoRows) {
		err = errors.New("the row of audit_chain is gone, which says where the chain ends: move the database away and keep it")
	}
	return c, err
}

// appender adds records to the chain, in one transaction.
type appender struct {
	tx   *sql.Tx
	head Head
}

func appendTo(ctx context.Context, tx *sql.Tx) (*appender, error) {
	c, err := readChain(ctx, tx)
	return &appender{tx, c.head}, err
}

func (a *appender) add(ctx context.Context, v *values) error {
	next := Head{Seq: a.head.Seq + 1, Hash: chainHash(a.head.Hash, a.head.Seq+1, v)}
	const insert = "INSERT INTO audit_events (seq, prev_hash, hash, " + columns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	result, err := a.tx.ExecContext(ctx, insert, append([]any{next.Seq, a.head.Hash, next.Hash}, v[:]...)...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("the database took %d rows for one record: has somebody put a trigger on audit_events?", n), err)
	}
	a.head = next
	return nil
}

func (a *appender) saveHead(ctx context.Context) error {
	_, err := a.tx.ExecContext(ctx, "UPDATE audit_chain SET head_seq = ?, head_hash = ?", a.head.Seq, a.head.Hash)
	return err
}
