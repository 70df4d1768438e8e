package audit

import (
	"context"
	"database/sql"
	"errors"
	"slices"
)

const entryColumns = "list, target_type, target_name, reason, source_path, actor, created_at"

// expiryColumn is how a database is asked for the expiry of entries. One that no version with expiries has opened for writing
// has no column of it.
func expiryColumn(ctx context.Context, db querier) (string, error) {
	found, err := columnsOf(ctx, db, "list_entries")
	if err == nil && !found["expires_at"] {
		return "''", nil
	}
	return "coalesce(expires_at, '')", err
}

// addExpiry adds the column. It is no migration to a higher version: an older version still reads and writes the table, and
// what it adds does not expire.
func addExpiry(ctx context.Context, db *sql.DB) error {
	return inTx(ctx, db, func(tx *sql.Tx) error {
		found, err := columnsOf(ctx, tx, "list_entries")
		if err != nil || found["expires_at"] {
			return err
		}
		_, err = tx.ExecContext(ctx, "ALTER TABLE list_entries ADD COLUMN expires_at TEXT")
		return err
	})
}

func insertEntry(ctx context.Context, tx *sql.Tx, e Entry) error {
	var expires any // NULL for an entry that stays
	if !e.ExpiresAt.IsZero() {
		expires = timeText(e.ExpiresAt)
	}
	_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO list_entries ("+entryColumns+", expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		e.List, e.TargetType, e.TargetName, e.Reason, e.SourcePath, e.Actor, timeText(e.CreatedAt), expires)
	return err
}

func deleteEntry(ctx context.Context, tx *sql.Tx, e Entry) error {
	const remove = "DELETE FROM list_entries WHERE list = ? AND target_type = ? AND target_name = ?"
	_, err := tx.ExecContext(ctx, remove, e.List, e.TargetType, e.TargetName)
	return err
}

// findBoth returns the entries of the target of e on its list and on the other one; nil if there is none. Both may be there in
// a database of an earlier version, where one did not replace the other.
func findBoth(ctx context.Context, db querier, e Entry) (own, other *Entry, err error) {
	if own, err = findEntry(ctx, db, e); err != nil {
		return nil, nil, err
	}
	e.List = otherList(e.List)
	other, err = findEntry(ctx, db, e)
	return own, other, err
}

func otherList(list string) string {
	if list == ListBlock {
		return ListAllow
	}
	return ListBlock
}

// listAction is the action of the record of an entry that was added.
func listAction(list string) string {
	if list == ListBlock {
		return ActionListBlock
	}
	return ActionListAllow
}

// findEntry returns nil if the target of e is not on its list.
func findEntry(ctx context.Context, db querier, e Entry) (*Entry, error) {
	found, err := entries(ctx, db, "WHERE list = ? AND target_type = ? AND target_name = ?", e.List, e.TargetType, e.TargetName)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func entries(ctx context.Context, db querier, where string, args ...any) (all []Entry, err error) {
	expiry, err := expiryColumn(ctx, db)
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, "SELECT "+entryColumns+", "+expiry+" FROM list_entries "+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e Entry
		var createdAt, expiresAt string
		if err := rows.Scan(&e.List, &e.TargetType, &e.TargetName, &e.Reason, &e.SourcePath, &e.Actor, &createdAt, &expiresAt); err != nil {
			return nil, err
		}
		e.CreatedAt, e.ExpiresAt = parseTime(createdAt), parseTime(expiresAt)
		all = append(all, e)
	}
	return all, rows.Err()
}

func readLists(ctx context.Context, db querier) (*Lists, error) {
	all, err := entries(ctx, db, "")
	if err != nil {
		return nil, err
	}
	lists := &Lists{Block: []Entry{}, Allow: []Entry{}}
	for _, e := range all {
		if e.List == ListBlock {
			lists.Block = append(lists.Block, e)
		} else {
			lists.Allow = append(lists.Allow, e)
		}
	}
	slices.SortFunc(lists.Block, byTarget)
	slices.SortFunc(lists.Allow, byTarget)
	return lists, nil
}

// listsHashKey is the key of the result of listsHash in a record's details.
const listsHashKey = "lists_sha256"

// emptyLists is the result of listsHash for empty lists.
func emptyLists() string { return digest(domainLists) }

// listsHash is a hash of all entries of both lists. Lists in which nothing expires have the hash that older versions give them.
func listsHash(ctx context.Context, db querier) (hash string, err error) {
	expiry, err := expiryColumn(ctx, db)
	if err != nil {
		return "", err
	}
	rows, err := db.QueryContext(ctx, "SELECT "+entryColumns+", "+expiry+" FROM list_entries ORDER BY list, target_type, target_name")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	b := []byte(domainLists)
	for rows.Next() {
		var v [8]any // one for each column
		if err := rows.Scan(&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]); err != nil {
			return "", err
		}
		columns := v[:]
		if text(v[7]) == "" {
			columns = v[:7]
		}
		for _, column := range columns {
			b = appendValue(b, column)
		}
	}
	return digest(string(b)), rows.Err()
}
