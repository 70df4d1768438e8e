package audit

import (
	"cmp"
	"context"
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
	ExpiresAt  time.Time `json:"expires_at,omitzero"` // from then on the entry counts no more; zero: it stays
}

func (e *Entry) expired(now time.Time) bool { return !e.ExpiresAt.IsZero() && !now.Before(e.ExpiresAt) }

// Lists are both lists at one moment, sorted by type and name. They are shared: do not modify them.
type Lists struct {
	Block, Allow []Entry
}

// For returns the entries of one target that have not expired, at most one of each list.
func (l *Lists) For(targetType, targetName string) (block, allow []Entry) {
	find := func(entries []Entry) []Entry {
		i, found := slices.BinarySearchFunc(entries, Entry{TargetType: targetType, TargetName: targetName}, byTarget)
		if !found || entries[i].expired(time.Now()) {
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

// KeepExpiry as the expiry of an entry that [Log.AddEntry] is given leaves the expiry of its target's entry as it is.
var KeepExpiry = time.Unix(0, 0).UTC()

// AddEntry puts e on its list, takes its target off the other one, and returns the entry as it is now and whether that changed
// anything. The change and its record are one transaction. e replaces an entry of the same target on the same list; of that
// stay the reason and the source path where e has none, and the expiry where that of e is [KeepExpiry]. After an error nothing
// has changed, unless the error says that the outcome is unknown.
func (l *Log) AddEntry(ctx context.Context, e Entry, requestID string) (now Entry, changed bool, err error) {
	if err := e.Validate(); err != nil {
		return Entry{}, false, err
	}
	e.Actor = cmp.Or(e.Actor, DefaultActor)
	e.CreatedAt = parseTime(timeText(time.Now()))
	err = l.change(ctx, "add "+e.name()+" to", e.List, func(ctx context.Context, a *appender) error {
		now = e
		before, other, err := findBoth(ctx, a.tx, e)
		if err != nil {
			return err
		}
		now.keep(before)
		details := now.details()
		if before != nil {
			if now.same(before) && other == nil {
				now = *before
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
		if err := insertEntry(ctx, a.tx, now); err != nil {
			return err
		}
		r := Record{Action: listAction(e.List), Actor: e.Actor, Target: e.name(), Message: now.message(), RequestID: requestID}
		return l.recordChange(ctx, a, r, details)
	})
	if errors.Is(err, errUnchanged) {
		return now, false, nil
	}
	return now, err == nil, err
}

// keep takes from the entry that e replaces what e does not say.
func (e *Entry) keep(before *Entry) {
	kept := Entry{}
	if before != nil && !before.expired(e.CreatedAt) {
		kept = *before
	}
	e.Reason, e.SourcePath = cmp.Or(e.Reason, kept.Reason), cmp.Or(e.SourcePath, kept.SourcePath)
	if e.ExpiresAt.Equal(KeepExpiry) {
		e.ExpiresAt = kept.ExpiresAt
	}
	e.ExpiresAt = parseTime(timeText(e.ExpiresAt)) // as it will be read
}

func (e *Entry) same(other *Entry) bool {
	return e.Reason == other.Reason && e.SourcePath == other.SourcePath && e.ExpiresAt.Equal(other.ExpiresAt)
}

func (e *Entry) details() map[string]any {
	details := map[string]any{
		"list": e.List, "target_type": e.TargetType, "target_name": e.TargetName, "reason": e.Reason, "source_path": e.SourcePath,
	}
	if !e.ExpiresAt.IsZero() {
		details["expires_at"] = e.ExpiresAt
	}
	return details
}

// message is the reason of the entry and, where it expires, when.
func (e *Entry) message() string {
	if e.ExpiresAt.IsZero() {
		return e.Reason
	}
	return strings.TrimSpace(e.Reason + " (until " + e.ExpiresAt.Format(time.RFC3339) + ")")
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
//
// Names are exact: one with * or ? would be taken for a pattern, and block nothing.
func (e *Entry) Validate() error {
	if err := e.validate(64, 512, false); err != nil {
		return err
	}
	for _, part := range []struct{ name, value string }{{"target_type", e.TargetType}, {"target_name", e.TargetName}} {
		if strings.ContainsAny(part.value, "*?") {
			return fmt.Errorf("%s is %q: the lists hold exact names, no patterns; write a rule of the policy for many targets", part.name, part.value)
		}
	}
	if !e.ExpiresAt.IsZero() && !e.ExpiresAt.Equal(KeepExpiry) && e.expired(time.Now()) {
		return fmt.Errorf("expires_at is %s: expected a moment to come", e.ExpiresAt.Format(time.RFC3339))
	}
	return nil
}

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
