package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// item is an entry of the queue: a record, a change of the lists with its record, or a gap where records
// were lost.
type item struct {
	values values
	change func(context.Context, *appender) error // nil for the others
	gap    *gap                                   // nil for the others
	done   chan error                             // receives the answer; buffered

	// guarded by Log.mu
	waiting bool // a caller waits for the answer
	taken   bool // the write is in progress
	tried   bool // a write failed, but its transaction may have been committed
}

// gap counts the records lost at one position.
type gap struct {
	count       int
	first, last time.Time
}

func newItem() *item { return &item{done: make(chan error, 1), waiting: true} }

func (it *item) isRecord() bool { return it.change == nil && it.gap == nil }

// orphaned reports whether the item counts for the backlog. The number of callers bounds the other items.
func (it *item) orphaned() bool { return it.isRecord() && !it.waiting }

// answer sends the outcome to the caller that waits, if any. Called with Log.mu held.
func (it *item) answer(err error) {
	if it.waiting {
		it.waiting = false
		it.done <- err
	}
}

// enqueue adds it to the queue. It returns false, and counts a record as lost, if Run has ended.
func (l *Log) enqueue(it *item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		if it.isRecord() {
			l.health.Lost++
		}
		return false
	}
	l.queue = append(l.queue, it)
	if it.orphaned() {
		l.orphans++
	}
	l.wakeRun()
	return true
}

func (l *Log) wakeRun() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake already
	}
}

// abandon ends the wait for a record whose caller's context has ended.
func (l *Log) abandon(it *item, cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !it.waiting {
		return <-it.done
	}
	if l.err != nil && !errors.Is(l.err, ErrNotRunning) {
		cause = fmt.Errorf("%w, and %w", cause, l.err)
	}
	it.waiting = false
	l.orphans++
	e := &NotDurableError{Action: text(it.values.action), Err: cause}
	if l.orphans > l.cfg.Backlog && !it.taken {
		l.orphans--
		l.lose(it, slices.Index(l.queue, it))
		e.Lost = true
	}
	e.Backlog = l.orphans
	return e
}

// lose replaces the record by a gap. Called with mu held.
func (l *Log) lose(it *item, at int) {
	l.health.Lost++
	when := parseTime(text(it.values.timestamp))
	if at > 0 {
		if before := l.queue[at-1]; before.gap != nil && !before.taken {
			before.gap.count, before.gap.last = before.gap.count+1, when
			l.queue = slices.Delete(l.queue, at, at+1)
			return
		}
	}
	l.queue[at] = &item{gap: &gap{count: 1, first: when, last: when}}
}

// withdraw removes a change from the queue, and reports whether it could: not once it is in progress.
func (l *Log) withdraw(it *item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.queue, it)
	if i < 0 || it.taken {
		return false
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	return true
}

// take returns the next items to write. They stay in the queue until they are written.
func (l *Log) take() []*item {
	const maxBatch = 256
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := slices.Clone(l.queue[:min(len(l.queue), maxBatch)])
	for _, it := range batch {
		it.taken = true
	}
	return batch
}

// written removes a batch that is on disk and answers its callers. w is nil if there was nothing to do.
func (l *Log) written(batch []*item, w *written) {
	if w == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = nil
	l.health.Head, l.health.ChainID = w.head, w.chainID
	l.health.Written += uint64(w.records) // not negative
	for _, it := range batch {
		if it.orphaned() {
			l.orphans--
		}
		it.answer(w.declined[it])
	}
	l.queue = slices.Delete(l.queue, 0, len(batch))
}

// failed answers all callers. Records stay in the queue while the backlog has room; changes are removed.
func (l *Log) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.err, l.health.FailedAt = err, &now
	for i := 0; i < len(l.queue); {
		it := l.queue[i]
		it.taken, it.tried = false, true
		switch {
		case it.change != nil:
			it.answer(fmt.Errorf("nothing was changed: %w", err))
			l.queue = slices.Delete(l.queue, i, i+1)
			continue
		case it.waiting && l.orphans < l.cfg.Backlog:
			l.orphans++
			it.answer(&NotDurableError{Action: text(it.values.action), Backlog: l.orphans, Lost: l.ended, Err: err})
		case it.waiting:
			it.answer(&NotDurableError{Action: text(it.values.action), Backlog: l.orphans, Lost: true, Err: err})
			before := len(l.queue)
			l.lose(it, i)
			if len(l.queue) < before {
				continue
			}
		}
		i++
	}
}
