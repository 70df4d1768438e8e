package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// values are the columns of one row of audit_events that its hash covers, as the driver returns them:
// string, int64 or nil in what this program wrote, any of SQLite's types in what another wrote.
type values struct {
	id, timestamp, action, target, actor any
	details                              any // Record.Message: earlier systems' readers expect text here
	structuredJSON                       any // Record.Details
	severity, runID, outcome             any
	revisionFrom, revisionTo, generation any
	requestID                            any
}

// column is the name of a column and its value in one row.
type column struct {
	name  string
	value *any
}

const columnCount = 14

// columns lists the columns in the order in which they are hashed, selected and inserted. Every chain
// depends on this order: it must not change.
func (v *values) columns() [columnCount]column {
	return [columnCount]column{
		{"id", &v.id}, {"timestamp", &v.timestamp}, {"action", &v.action}, {"target", &v.target}, {"actor", &v.actor},
		{"details", &v.details}, {"structured_json", &v.structuredJSON}, {"severity", &v.severity}, {"run_id", &v.runID},
		{"outcome", &v.outcome}, {"revision_from", &v.revisionFrom}, {"revision_to", &v.revisionTo},
		{"generation", &v.generation}, {"request_id", &v.requestID},
	}
}

// columnNames lists the names of the columns for SQL.
func columnNames() string {
	var names []string
	for _, c := range new(values).columns() {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

var (
	insertRow = "INSERT INTO audit_events (seq, prev_hash, hash, " + columnNames() + ") VALUES (?, ?, ?" + strings.Repeat(", ?", columnCount) + ")"

	// The timestamp is selected as an expression: the driver would convert a column of type DATETIME.
	selectedColumns = strings.Replace(columnNames(), "timestamp", "+timestamp", 1)
)

// eachRow calls do for each row that where selects. seq is the SQL expression for the row's seq.
func eachRow(ctx context.Context, db querier, seq, where string, args []any, do func(*row) error) (err error) {
	rows, err := db.QueryContext(ctx, "SELECT "+seq+", prev_hash, hash, "+selectedColumns+" FROM audit_events "+where, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r row
		var prev, hash any
		dest := []any{&r.seq, &prev, &hash}
		for _, c := range r.values.columns() {
			dest = append(dest, c.value)
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

// columnOf returns the values of a query with one column.
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
	anchor        Head // the newest record that retention removed; seq 0 and the genesis hash if none
}

func readChain(ctx context.Context, db querier) (c chain, err error) {
	const query = "SELECT id, started_at, head_seq, head_hash, anchor_seq, anchor_hash FROM audit_chain"
	err = db.QueryRowContext(ctx, query).Scan(&c.id, &c.startedAt, &c.head.Seq, &c.head.Hash, &c.anchor.Seq, &c.anchor.Hash)
	if errors.Is(err, sql.ErrNoRows) {
		err = errors.New("the row of audit_chain, which marks the ends of the chain, is missing: move the database away and keep it")
	}
	return c, err
}

// appender adds records to the chain in one transaction. Call saveHead at its end.
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
	args := []any{next.Seq, a.head.Hash, next.Hash}
	for _, c := range v.columns() {
		args = append(args, *c.value)
	}
	result, err := a.tx.ExecContext(ctx, insertRow, args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("inserting one record changed %d rows: is there a trigger on audit_events?", n), err)
	}
	a.head = next
	return nil
}

func (a *appender) saveHead(ctx context.Context) error {
	_, err := a.tx.ExecContext(ctx, "UPDATE audit_chain SET head_seq = ?, head_hash = ?", a.head.Seq, a.head.Hash)
	return err
}
