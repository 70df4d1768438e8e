package audit

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// moved reports whether the chain does not end where this process ended it: another program wrote to the database.
func (l *Log) moved(ctx context.Context, s *store) bool {
	c, err := readChain(ctx, s.write)
	return err == nil && l.chainMoved(c)
}

func (l *Log) chainMoved(c chain) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.health.ChainID != "" && (l.health.ChainID != c.id || l.health.Head != c.head)
}

func (l *Log) trusted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.distrusted == nil && l.missing == nil
}

// checkHead compares the head of the chain with the one in memory before a write. Where they differ, it adds a record of
// that: refusing to write would lose more records.
func (l *Log) checkHead(ctx context.Context, a *appender, c chain, w *written) error {
	var r Record
	switch {
	case l.previous != nil:
		restored, err := l.takeOver(ctx, a)
		if err != nil {
			return err
		}
		hash, err := listsHash(ctx, a.tx)
		if err != nil {
			return err
		}
		how := l.stopped
		if how == "" {
			how = "the database was moved away or replaced while in use"
		} else {
			how += ", while the sidecar was stopped"
		}
		r = Record{
			Action: ActionReplaced, Severity: SeverityHigh, Target: l.cfg.Path,
			Message: fmt.Sprintf("%s, after record %d", how, l.previous.head.Seq),
			Details: JSON(map[string]any{
				"previous_chain": l.previous.id, "previous_head": l.previous.head, "entries_restored": restored, listsHashKey: hash,
			}),
		}
		if !l.trusted() { // its hash would vouch for lists that do not decide
			r.Details = JSON(map[string]any{"previous_chain": l.previous.id, "previous_head": l.previous.head})
		}
	case l.chainMoved(c):
		how, err := l.howMoved(ctx, a, c)
		if err != nil || how == "" {
			return err
		}
		l.mu.Lock()
		expected := l.health.Head
		l.mu.Unlock()
		r = Record{
			Action: ActionTampered, Outcome: OutcomeFailed, Target: l.cfg.Path, Message: how,
			Details: JSON(map[string]any{"expected_head": expected, "found_head": c.head, "found_chain": c.id}),
		}
	default:
		return nil
	}
	v, err := prepare(r, l.cfg.RunID)
	if err != nil {
		return err
	}
	w.alarm(&v)
	return a.add(ctx, &v)
}

// howMoved says how the chain differs from what this process wrote; empty if the difference is a write of its own that
// was reported as failed.
func (l *Log) howMoved(ctx context.Context, a *appender, c chain) (string, error) {
	l.mu.Lock()
	known, id := l.health.Head, l.health.ChainID
	l.mu.Unlock()
	if id == c.id && c.head.Seq < known.Seq {
		return fmt.Sprintf("%d records were removed from the end: the newest was %d, and is %d", known.Seq-c.head.Seq, known.Seq, c.head.Seq), nil
	}
	there, err := isAncestor(ctx, a.tx, c, known)
	if err != nil {
		return "", err
	}
	if id != c.id || !there {
		return fmt.Sprintf("the chain was rewritten: record %d is not the one that was written", known.Seq), nil
	}
	others, err := columnOf[int64](ctx, a.tx, "SELECT count(*) FROM audit_events WHERE seq > ? AND run_id IS NOT ?", known.Seq, l.cfg.RunID)
	if err != nil {
		return "", err
	}
	if l.unsure && others[0] == 0 {
		return "", nil
	}
	return fmt.Sprintf("another program added %d records after record %d", c.head.Seq-known.Seq, known.Seq), nil
}

// takeOver puts the lists of this process, by which it decides, into a database that replaced the previous one, and
// returns their number. Nothing is restored where the database was replaced before the start: this process has no others.
func (l *Log) takeOver(ctx context.Context, a *appender) (restored int, err error) {
	lists := l.lists.Load()
	if lists == nil || l.stopped != "" {
		return 0, nil
	}
	if _, err := a.tx.ExecContext(ctx, "DELETE FROM list_entries"); err != nil {
		return 0, err
	}
	for _, e := range append(slices.Clone(lists.Block), lists.Allow...) {
		if err := insertEntry(ctx, a.tx, e); err != nil {
			return 0, err
		}
		restored++
	}
	if l.imported != "" {
		if _, err := a.tx.ExecContext(ctx, "INSERT OR REPLACE INTO list_import VALUES (1, ?, ?)", timeText(time.Now()), l.imported); err != nil {
			return 0, err
		}
	}
	return restored, nil
}

// alarm keeps a record for [Config.Alarm] until its transaction is committed.
func (w *written) alarm(v *values) { w.alarms = append(w.alarms, (&row{values: *v}).record()) }

// sound calls [Config.Alarm], and counts.
func (l *Log) sound(alarms []Record) {
	for _, r := range alarms {
		l.mu.Lock()
		l.health.Alarms++
		l.health.Alarm = r.Message
		l.mu.Unlock()
		if l.cfg.Alarm != nil {
			l.cfg.Alarm(r)
		}
	}
}
