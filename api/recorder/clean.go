package recorder

import (
	"context"
	"fmt"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review/records"
)

// Snapshot is what is held, clean by the masks of the generation that serves. Only what Snapshot and Held return may leave the
// memory. It yields its processor to decisions where it has to clean, and nothing that is recorded meanwhile waits for it; an
// error is ctx's.
func (r *Recorder) Snapshot(ctx context.Context) (all records.Snapshot, err error) {
	err = r.whenClean(ctx, func() { all = r.store.Snapshot() })
	return all, err
}

// Held is what is held, in no order, as clean as what Snapshot returns: it may leave the memory. No record is copied.
func (r *Recorder) Held(ctx context.Context) (all []records.Held, err error) {
	err = r.whenClean(ctx, func() { all = r.store.Held() })
	return all, err
}

// Counts is [Recorder.Snapshot] without the records.
func (r *Recorder) Counts() records.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store.Counts()
}

// cleaningShare is the share of a processor at which what is held is cleaned once more.
const cleaningShare = 0.25

// whenClean cleans what is held by the masks of the generation that serves, once for each, and calls do with the lock held. What
// cannot be cleaned is forgotten. The lock is not held while policies are asked: what comes meanwhile is clean, see [Recorder.add].
func (r *Recorder) whenClean(ctx context.Context, do func()) error {
	if r.doIfClean(do) {
		return nil
	}
	select {
	case r.cleaning <- struct{}{}:
		defer func() { <-r.cleaning }()
	case <-ctx.Done():
		return notClean(ctx)
	}
	for {
		r.mu.Lock()
		g := r.current()
		if r.isClean(g) {
			do()
			r.mu.Unlock()
			return nil
		}
		var held []records.Held
		r.cleaned, r.clean = g.Revision(), false
		read, others := r.read, r.others
		if read || r.masks(g) {
			held = r.store.Held()
		}
		r.mu.Unlock()
		found := r.cleanEach(ctx, g, held, read)
		if ctx.Err() != nil {
			return notClean(ctx)
		}
		r.mu.Lock()
		if others == r.others { // else what came since may not be clean
			r.replace(found)
			r.clean, r.read = true, false
			do()
			r.mu.Unlock()
			return nil
		}
		r.mu.Unlock()
	}
}

// doIfClean calls do with the lock held, if nothing has to be cleaned.
func (r *Recorder) doIfClean(do func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isClean(r.current()) {
		return false
	}
	do()
	return true
}

// isClean reports whether all that is held is clean by the masks of a generation, which may be nil. The lock is held.
func (r *Recorder) isClean(g *engine.Generation) bool {
	return g == nil || r.clean && g.Revision() == r.cleaned
}

func notClean(ctx context.Context) error { return fmt.Errorf("clean the records: %w", ctx.Err()) }

// cleanRecord is what became of a record.
type cleanRecord struct {
	record *records.Record // nil: it is forgotten
	reason string          // why
}

// cleanEach asks a generation about records, at a share of a processor, until ctx ends. read says that those of its own decisions
// are not clean either.
func (r *Recorder) cleanEach(ctx context.Context, g *engine.Generation, held []records.Held, read bool) map[*records.Record]cleanRecord {
	pace := newPace(cleaningShare)
	found := make(map[*records.Record]cleanRecord, len(held))
	for _, h := range held {
		if h.Revision == g.Revision() && !read {
			continue
		}
		begun := time.Now()
		clean, reason, err := r.cfg.Clean(ctx, g, *h.Record)
		pace.wait(ctx, time.Since(begun))
		if ctx.Err() != nil {
			break // not clean, and it does not leave
		}
		if reason == "" && err == nil {
			found[h.Record] = cleanRecord{record: &clean}
		} else {
			found[h.Record] = cleanRecord{reason: reason}
		}
	}
	return found
}

// replace puts clean records in the place of those that they were made of, as far as these are still held. The lock is held.
func (r *Recorder) replace(found map[*records.Record]cleanRecord) {
	if len(found) == 0 {
		return
	}
	r.store.Update(func(rec *records.Record) *records.Record {
		clean, ok := found[rec]
		if !ok {
			return rec
		}
		if clean.reason != "" {
			r.drop(clean.reason, 1)
		}
		return clean.record
	})
	r.holds()
}
