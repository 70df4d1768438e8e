package audit

import (
	"context"
	"slices"
	"time"
)

// expire has the entries that expired taken off their lists, each on record. They counted no more from the moment that they
// expired: this tidies up. Only Run calls it.
func (l *Log) expire() {
	if l.expiring != nil {
		select {
		case <-l.expiring.done: //nolint:errcheck // the next round tries what failed
			l.expiring = nil
		default: // it waits for a database that can be written
			return
		}
	}
	lists := l.lists.Load()
	if lists == nil {
		return
	}
	now := time.Now()
	gone := func(e Entry) bool { return e.expired(now) }
	if !slices.ContainsFunc(lists.Block, gone) && !slices.ContainsFunc(lists.Allow, gone) {
		return
	}
	it := newItem()
	it.change = l.removeExpired
	if l.enqueue(it) {
		l.expiring = it
	}
}

// removeExpired asks the database, not the memory: an entry may have been added again since.
func (l *Log) removeExpired(ctx context.Context, a *appender) error {
	all, err := entries(ctx, a.tx, "")
	if err != nil {
		return err
	}
	now := time.Now()
	for _, e := range all {
		if !e.expired(now) {
			continue
		}
		if err := deleteEntry(ctx, a.tx, e); err != nil {
			return err
		}
		r := Record{
			Action: ActionListRemove, Actor: ActorExpiry, Target: e.name(),
			Message: "its time on the " + e.List + " list ended at " + e.ExpiresAt.Format(time.RFC3339),
		}
		details := map[string]any{"list": e.List, "target_type": e.TargetType, "target_name": e.TargetName, "removed": e}
		if err := l.recordChange(ctx, a, r, details); err != nil {
			return err
		}
	}
	return nil
}
