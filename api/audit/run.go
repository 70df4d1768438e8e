package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const (
	writeTimeout = 10 * time.Second // of one attempt to write a batch
	lastTimeout  = 5 * time.Second  // of all attempts after Run's context has ended

	firstPrune = time.Second // retention leaves the processor to what the process has to do before its first answer
)

// Run writes what is appended until ctx ends, into the database that New opened or, where it could not, opens now. Then it
// writes what is still queued, closes the database and returns nil, or an [*UnwrittenError] with the records that it could not write. Call
// it once, and end ctx after the last Append.
func (l *Log) Run(ctx context.Context) error {
	retry, prune, fold := time.NewTimer(0), time.NewTimer(min(firstPrune, l.cfg.PruneEvery)), time.NewTimer(l.limited.window())
	defer retry.Stop()
	defer prune.Stop()
	defer fold.Stop()
	working := context.WithoutCancel(ctx) // a write in progress is completed
	l.store.Store(l.opened)
	l.opened = nil
	for {
		select {
		case <-ctx.Done():
			return l.finish(working)
		case <-l.wake:
			l.flush(working)
		case <-retry.C: // fires at once the first time, to open the database
			l.flush(working)
			l.retryImport(working)
			l.expire()
			retry.Reset(l.cfg.RetryEvery)
		case <-prune.C:
			prune.Reset(l.retain(working))
		case <-fold.C:
			l.fold()
			fold.Reset(l.limited.window())
		}
	}
}

// flush writes the queue until it is empty or a write fails. With an empty queue it checks that the database
// file is still there and, if the last write failed, that writing works again.
func (l *Log) flush(ctx context.Context) {
	for {
		batch := l.take()
		w, err := l.write(ctx, batch)
		if err != nil {
			l.failed(err)
			return
		}
		if w != nil {
			l.sound(w.alarms)
		}
		l.written(batch, w)
		if s := l.store.Load(); s != nil {
			l.saveWitness(ctx, s, w != nil && (w.changed || len(w.alarms) > 0))
		}
		if len(batch) == 0 {
			return
		}
	}
}

// finish accepts no more records and writes the queued ones.
func (l *Log) finish(ctx context.Context) error {
	l.fold()
	ctx, cancel := context.WithTimeout(ctx, lastTimeout)
	defer cancel()
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.flush(ctx)
	if s := l.store.Load(); s != nil {
		l.saveWitness(ctx, s, true)
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if left := l.leftover(); len(left) > 0 {
		err = &UnwrittenError{Records: left, Err: l.err}
	}
	l.health.Lost += uint64(l.orphans) // not negative
	l.queue, l.orphans, l.err = nil, 0, ErrNotRunning
	if s := l.store.Swap(nil); s != nil {
		if e := s.close(); e != nil {
			err = errors.Join(err, fmt.Errorf("close %s: %w", s.path, e))
		}
	}
	return err
}

// leftover returns the records in the queue. Called with mu held.
func (l *Log) leftover() []Record {
	var all []Record
	for _, it := range l.queue {
		v := it.values
		if it.gap != nil {
			v, _ = it.gap.record(l.cfg.RunID)
		}
		all = append(all, (&row{values: v}).record())
	}
	return all
}

// written is the result of one transaction.
type written struct {
	head     Head
	chainID  string
	records  int64
	declined map[*item]error // changes that changed nothing, with the reason
	changed  bool            // whether the lists changed
	lists    *Lists          // the lists after it; nil if unchanged
	alarms   []Record
}

// write writes the batch to disk in one transaction, into the database that is now at the path.
func (l *Log) write(ctx context.Context, batch []*item) (*written, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	s, fresh, err := l.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("write audit records: %w", err)
	}
	if len(batch) == 0 && !fresh && l.writable() && !l.moved(ctx, s) {
		return nil, nil
	}
	w := &written{declined: map[*item]error{}}
	err = inTx(ctx, s.write, func(tx *sql.Tx) error { return l.writeAll(ctx, tx, batch, w) })
	l.unsure = l.unsure || err != nil
	if err != nil {
		s.forgetWriter()
		return nil, fmt.Errorf("write audit records to %s: %w", s.path, explain(err))
	}
	l.previous, l.stopped, l.unsure = nil, "", false
	if w.lists != nil {
		l.lists.Store(w.lists)
	}
	return w, nil
}

func (l *Log) writeAll(ctx context.Context, tx *sql.Tx, batch []*item, w *written) error {
	c, err := readChain(ctx, tx)
	if err != nil {
		return err
	}
	a := &appender{tx, c.head}
	if err := l.checkHead(ctx, a, c, w); err != nil {
		return err
	}
	for _, it := range batch {
		if err := l.writeItem(ctx, a, it, w); err != nil {
			return err
		}
	}
	w.head, w.chainID, w.records = a.head, c.id, a.head.Seq-c.head.Seq
	if (w.changed || l.previous != nil || l.lists.Load() == nil) && l.trusted() {
		if w.lists, err = readLists(ctx, tx); err != nil {
			return err
		}
	}
	return a.saveHead(ctx)
}

func (l *Log) writeItem(ctx context.Context, a *appender, it *item, w *written) error {
	v := it.values
	switch {
	case it.change != nil:
		err := it.change(ctx, a)
		if d := new(declined); errors.As(err, &d) {
			w.declined[it] = d.err
			return nil
		}
		w.changed = true
		return err
	case it.gap != nil:
		var err error
		if v, err = it.gap.record(l.cfg.RunID); err != nil {
			return err
		}
		w.alarm(&v)
	case it.tried: // a commit that returned an error may still have taken effect
		there, err := columnOf[int](ctx, a.tx, "SELECT 1 FROM audit_events WHERE id = ?", v.id)
		if err != nil || len(there) > 0 {
			return err
		}
	}
	return a.add(ctx, &v)
}

// open returns the open database, and whether it opened it just now. It does not go on with a file that was
// moved away or replaced: records written there would be lost.
func (l *Log) open(ctx context.Context) (s *store, fresh bool, err error) {
	s = l.store.Load()
	if s != nil && !s.vanished() {
		return s, false, nil
	}
	if s != nil {
		l.store.Store(nil)
		if err := s.close(); err != nil {
			return nil, false, fmt.Errorf("close %s, which was moved away: %w", s.path, err)
		}
	}
	if s, err = openStore(ctx, l.cfg.Path, l.cfg.BusyTimeout); err != nil {
		return nil, false, err
	}
	c, err := readChain(ctx, s.write)
	if err != nil {
		return nil, false, errors.Join(err, s.close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := l.health; last.ChainID != "" && (last.ChainID != c.id || last.Head != c.head) {
		l.previous = &chain{id: last.ChainID, head: last.Head}
	}
	l.store.Store(s)
	return s, true, nil
}

// record makes the row that stands for the lost records.
func (g *gap) record(runID string) (values, error) {
	return prepare(Record{
		Time: g.last, Action: ActionGap, Outcome: OutcomeFailed,
		Message: fmt.Sprintf("%d records could not be written and were lost", g.count),
		Details: JSON(map[string]any{"lost": g.count, "first": g.first, "last": g.last}),
	}, runID)
}

func (l *Log) writable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err == nil
}
