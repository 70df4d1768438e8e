package audit

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The names of the lists.
const (
	ListBlock = "block"
	ListAllow = "allow"
)

// Entry is a target on a list. The admission policy reads its fields.
type Entry struct {
	List       string    `json:"list"`        // [ListBlock] or [ListAllow]
	TargetType string    `json:"target_type"` // for example skill; at most 64 bytes
	TargetName string    `json:"target_name"` // at most 512 bytes
	Reason     string    `json:"reason"`
	SourcePath string    `json:"source_path,omitempty"` // an allow entry holds only for targets from this path; empty: for all
	Actor      string    `json:"actor"`
	CreatedAt  time.Time `json:"created_at"`
}

// Lists are both lists at one moment, sorted by type and name. They are shared: do not modify them.
type Lists struct {
	Block, Allow []Entry
}

// For returns the entries of one target, at most one of each list.
func (l *Lists) For(targetType, targetName string) (block, allow []Entry) {
	find := func(entries []Entry) []Entry {
		i, found := slices.BinarySearchFunc(entries, Entry{TargetType: targetType, TargetName: targetName}, byTarget)
		if !found {
			return nil
		}
		return entries[i : i+1 : i+1]
	}
	return find(l.Block), find(l.Allow)
}

func byTarget(a, b Entry) int {
	return cmp.Or(strings.Compare(a.TargetType, b.TargetType), strings.Compare(a.TargetName, b.TargetName))
}

// Lists returns both lists from memory. An error means that they have not been readable since the start;
// the caller must refuse decisions that depend on them.
func (l *Log) Lists() (*Lists, error) {
	if lists := l.lists.Load(); lists != nil {
		return lists, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := cmp.Or(l.distrusted, l.missing); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("the block and allow lists could not be read: %w", l.err)
}

// AddEntry puts e on its list, takes its target off the other one, and reports whether that changed anything. The change and
// its record are one transaction. e replaces an entry of the same target; if the two are equal, nothing changes. After an
// error nothing has changed, unless the error says that the outcome is unknown.
func (l *Log) AddEntry(ctx context.Context, e Entry, requestID string) (changed bool, err error) {
	if err := e.Validate(); err != nil {
		return false, err
	}
	e.Actor = cmp.Or(e.Actor, DefaultActor)
	e.CreatedAt = parseTime(timeText(time.Now()))
	err = l.change(ctx, "add "+e.name()+" to", e.List, func(ctx context.Context, a *appender) error {
		before, other, err := findBoth(ctx, a.tx, e)
		if err != nil {
			return err
		}
		details := map[string]any{"list": e.List, "target_type": e.TargetType, "target_name": e.TargetName, "reason": e.Reason, "source_path": e.SourcePath}
		if before != nil {
			if before.Reason == e.Reason && before.SourcePath == e.SourcePath && other == nil {
				return &declined{errUnchanged}
			}
			details["replaced"] = before
		}
		if other != nil {
			details["removed"] = other
			if err := deleteEntry(ctx, a.tx, *other); err != nil {
				return err
			}
		}
		if err := insertEntry(ctx, a.tx, e); err != nil {
			return err
		}
		r := Record{Action: listAction(e.List), Actor: e.Actor, Target: e.name(), Message: e.Reason, RequestID: requestID}
		return l.recordChange(ctx, a, r, details)
	})
	if errors.Is(err, errUnchanged) {
		return false, nil
	}
	return err == nil, err
}

// RemoveEntry removes the target of e from e.List, by e.Actor and for e.Reason. The change and its record
// are one transaction. The error is [ErrNotListed] if there is no such entry. After an error nothing has
// changed, unless the error says that the outcome is unknown.
func (l *Log) RemoveEntry(ctx context.Context, e Entry, requestID string) error {
	if err := e.ValidateRemoval(); err != nil {
		return err
	}
	return l.change(ctx, "remove "+e.name()+" from", e.List, func(ctx context.Context, a *appender) error {
		before, err := findEntry(ctx, a.tx, e)
		if err != nil {
			return err
		}
		if before == nil {
			return &declined{ErrNotListed}
		}
		if err := deleteEntry(ctx, a.tx, e); err != nil {
			return err
		}
		return l.recordChange(ctx, a, Record{Action: ActionListRemove, Actor: e.Actor, Target: e.name(), Message: e.Reason, RequestID: requestID},
			map[string]any{"list": e.List, "target_type": e.TargetType, "target_name": e.TargetName, "removed": before})
	})
}

// declined ends a change that changes nothing, and lets the rest of the transaction commit.
type declined struct{ err error }

func (d *declined) Error() string { return d.err.Error() }

var errUnchanged = errors.New("already on the list")

// change queues do, which runs in a transaction, in its order among the records, and waits for the outcome.
func (l *Log) change(ctx context.Context, what, list string, do func(context.Context, *appender) error) error {
	it := newItem()
	it.change = do
	err := ErrNotRunning
	if l.enqueue(it) {
		select {
		case err = <-it.done:
		case <-ctx.Done():
			if err = ctx.Err(); !l.withdraw(it) {
				err = fmt.Errorf("it is in progress, and its outcome is unknown: %w", err)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%s the %s list: %w", what, list, err)
	}
	return nil
}

// recordChange adds the record of a change, with the hash of the lists after it. Verification compares
// the newest such hash with the lists, to find an entry that was changed without a record.
func (l *Log) recordChange(ctx context.Context, a *appender, r Record, details map[string]any) error {
	hash, err := listsHash(ctx, a.tx)
	if err != nil {
		return err
	}
	details[listsHashKey] = hash
	r.Details = JSON(details)
	v, err := prepare(r, l.cfg.RunID)
	if err != nil {
		return err
	}
	return a.add(ctx, &v)
}

func (e *Entry) name() string { return e.TargetType + "/" + e.TargetName }

// Validate returns what is wrong with an entry that shall be added, or nil.
func (e *Entry) Validate() error { return e.validate(64, 512, false) }

// ValidateRemoval returns what is wrong with an entry that shall be removed, or nil. Its target may have a name that Validate
// refuses: one that was taken over from the original gateway may.
func (e *Entry) ValidateRemoval() error { return e.validate(maxImported, maxImported, true) }

func (e *Entry) validate(maxType, maxName int, anyName bool) error {
	if e.List != ListBlock && e.List != ListAllow {
		return fmt.Errorf("list is %q: expected block or allow", e.List)
	}
	for _, f := range []struct {
		name, value string
		maxBytes    int
		target      bool
	}{
		{"target_type", e.TargetType, maxType, true},
		{"target_name", e.TargetName, maxName, true},
		{"reason", e.Reason, 1024, false},
		{"source_path", e.SourcePath, 4096, false},
		{"actor", e.Actor, 512, false},
	} {
		switch {
		case f.value == "" && f.target:
			return fmt.Errorf("%s is required", f.name)
		case len(f.value) > f.maxBytes:
			return fmt.Errorf("%s has %d bytes: the maximum is %d", f.name, len(f.value), f.maxBytes)
		case !utf8.ValidString(f.value), (!f.target || !anyName) && strings.ContainsFunc(f.value, unicode.IsControl):
			return fmt.Errorf("%s contains control characters or invalid UTF-8", f.name)
		}
	}
	return nil
}

const entryColumns = "list, target_type, target_name, reason, source_path, actor, created_at"

func insertEntry(ctx context.Context, tx *sql.Tx, e Entry) error {
	_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO list_entries ("+entryColumns+") VALUES (?, ?, ?, ?, ?, ?, ?)",
		e.List, e.TargetType, e.TargetName, e.Reason, e.SourcePath, e.Actor, timeText(e.CreatedAt))
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
	rows, err := db.QueryContext(ctx, "SELECT "+entryColumns+" FROM list_entries "+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e Entry
		var createdAt string
		if err := rows.Scan(&e.List, &e.TargetType, &e.TargetName, &e.Reason, &e.SourcePath, &e.Actor, &createdAt); err != nil {
			return nil, err
		}
		e.CreatedAt = parseTime(createdAt)
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

// listsHash is a hash of all entries of both lists.
func listsHash(ctx context.Context, db querier) (hash string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT "+entryColumns+" FROM list_entries ORDER BY list, target_type, target_name")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	b := []byte(domainLists)
	for rows.Next() {
		var v [7]any // one for each column
		if err := rows.Scan(&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6]); err != nil {
			return "", err
		}
		for _, column := range v {
			b = appendValue(b, column)
		}
	}
	return digest(string(b)), rows.Err()
}
