package history

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/durable"
)

// maxRecords is how many generations the index tells of; older ones that are not kept are forgotten when a quarter
// more have come together.
const maxRecords = 1000

// note gives a generation its number and writes its record. One that serves already, as after a restart, keeps its
// record if its entry is sound or waits to be written. A record returned with an error is noted in memory and written
// with the next one; its entry, whose manifest has the number too, can be saved all the same.
func (s *Store) note(ctx context.Context, what Served, p *pace) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	x := &s.index
	x.writing.Lock()
	defer x.writing.Unlock()
	if err := s.takeIndex(); err != nil {
		return Record{}, err
	}
	r := s.record(what)
	last, any := s.lastRecord()
	if any && s.serves(ctx, last, r, what.Generation.Verified(), p) {
		return last, s.serveAgain(last)
	}
	r.Seq, r.File = last.Seq+1, s.newestName(r, last)
	var bodies []body
	if any && last.ServedUntil.IsZero() {
		bodies = append(bodies, body{Seq: last.Seq, Until: &r.ServedFrom})
	}
	s.forget()
	err := s.appendIndex(append(bodies, r.line())...)
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.records); n > 0 && x.records[n-1].ServedUntil.IsZero() {
		x.records[n-1].ServedUntil = r.ServedFrom
	}
	x.records = append(x.records, r)
	x.waiting[r.Seq] = what.Generation
	return r, err
}

// newestName is a name that sorts after all others: if the clock was set back, that of the time would sort as an old one.
func (s *Store) newestName(r, last Record) string {
	name := nameFor(r.ServedFrom, r.Revision).Name
	before, _ := parseName(last.File)
	if entries, err := s.Entries(); err == nil && len(entries) > 0 && entries[0].Name > before.Name {
		before = entries[0]
	}
	if name <= before.Name {
		name = nameFor(before.Time.Add(time.Microsecond), r.Revision).Name
	}
	return name
}

func (s *Store) lastRecord() (Record, bool) {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	if n := len(s.index.records); n > 0 {
		return s.index.records[n-1], true
	}
	return Record{}, false
}

// serves reports whether the last record is that of the same generation.
func (s *Store) serves(ctx context.Context, last, r Record, verified engine.Verified, p *pace) bool {
	if last.Revision != r.Revision || last.Root != r.Root {
		return false
	}
	s.index.mu.Lock()
	waits := s.index.waiting[last.Seq]
	s.index.mu.Unlock()
	if waits != nil {
		return marked(waits.Verified(), verified)
	}
	info, err := s.check(ctx, s.entry(last.File), p)
	return err == nil && info.Revision == r.Revision && info.Root == r.Root && marked(info.Verified, verified)
}

// serveAgain takes back that a record ended: what ended was the process.
func (s *Store) serveAgain(last Record) error {
	if last.ServedUntil.IsZero() {
		return nil
	}
	s.setUntil(last.Seq, time.Time{})
	return s.appendIndex(body{Seq: last.Seq, Until: &time.Time{}})
}

// ended notes that what serves no longer does: the process ends.
func (s *Store) ended(now time.Time) error {
	x := &s.index
	x.writing.Lock()
	defer x.writing.Unlock()
	last, ok := s.lastRecord()
	if !ok || !last.ServedUntil.IsZero() {
		return nil
	}
	now = now.UTC().Round(0)
	s.setUntil(last.Seq, now)
	return s.appendIndex(body{Seq: last.Seq, Until: &now})
}

func (s *Store) setUntil(seq uint64, at time.Time) {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	for i := range s.index.records {
		if s.index.records[i].Seq == seq {
			s.index.records[i].ServedUntil = at
		}
	}
}

// written notes that an entry waits no longer: it is there, or will not be written.
func (s *Store) written(seq uint64) {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	delete(s.index.waiting, seq)
}

// takeIndex reads the file at the first note of this process, and mends it. x.writing is held.
func (s *Store) takeIndex() error {
	x := &s.index
	x.mu.Lock()
	ours := x.ours
	x.mu.Unlock()
	if ours {
		return nil
	}
	if err := s.makeDir(); err != nil {
		return err
	}
	entries, err := s.Entries()
	if err != nil {
		return err
	}
	c, err := readIndex(s.indexPath())
	if err != nil { // entries are saved all the same, and their manifests hold what counts
		c = contents{there: true, bad: 1}
		s.cfg.notice(fmt.Errorf("the index of the history cannot be read, and is made anew: %w", err))
	}
	adopted := s.adopt(&c, entries)
	if c.bad > 0 {
		aside := filepath.Join(s.cfg.Dir, damagedIndexName)
		s.cfg.notice(fmt.Errorf("the index of the history is damaged: %d lines of %s are not what was written; %d generations were read from "+
			"their entries again, and the damaged file is %s", c.bad, s.indexPath(), adopted, aside))
		if err := os.Rename(s.indexPath(), aside); err != nil {
			return err
		}
	} else if !c.there && adopted > 0 {
		s.cfg.notice(fmt.Errorf("the index of the history, %s, is not there: %d generations were read from their entries", s.indexPath(), adopted))
	}
	x.dirty = x.dirty || c.bad > 0 || c.torn || adopted > 0
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ours, x.records, x.hashes = true, c.records, c.hashes
	return nil
}

// adopt adds records of entries that an index does not tell of: all of them if it is missing or damaged; else those after
// the newest that it does, which another version of the program saved.
func (s *Store) adopt(c *contents, entries []Entry) (adopted int) {
	known := map[string]bool{}
	used := map[uint64]bool{}
	var last Record
	for _, r := range c.records {
		known[r.File], used[r.Seq], last = true, true, r
	}
	var found []Record
	for _, e := range slices.Backward(entries) {
		if known[e.Name] || c.bad == 0 && c.there && e.Name <= last.File {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // what it was cannot be told
		}
		r := Record{
			Seq: info.Seq, Revision: info.Revision, Root: info.Root, Generation: info.Generation, Version: info.Version,
			ServedFrom: e.Time, Trigger: info.Trigger, Actor: info.Actor, File: e.Name,
		}
		if !info.LoadedAt.IsZero() {
			r.ServedFrom = info.LoadedAt
		}
		if used[r.Seq] {
			r.Seq = 0
		}
		used[r.Seq] = true
		found = append(found, r)
	}
	number(found, used)
	c.records = append(c.records, found...)
	slices.SortFunc(c.records, bySeq)
	return len(found)
}

func bySeq(a, b Record) int {
	switch {
	case a.Seq < b.Seq:
		return -1
	case a.Seq > b.Seq:
		return 1
	default:
		return 0
	}
}

// number gives numbers to records without one: those just below the next that has one, so that entries of an earlier
// version are numbered alike every time, else those above all others.
func number(found []Record, used map[uint64]bool) {
	delete(used, 0)
	next := uint64(0) // of the record after
	for i := range slices.Backward(found) {
		r := &found[i]
		if r.Seq == 0 && next > 1 && !used[next-1] {
			r.Seq = next - 1
			used[r.Seq] = true
		}
		next = r.Seq
	}
	highest := uint64(0)
	for seq := range used {
		highest = max(highest, seq)
	}
	for i := range found {
		if found[i].Seq == 0 {
			highest++
			found[i].Seq = highest
		}
	}
}

// forget drops the oldest records that are not kept, when there are a quarter too many. x.writing is held.
func (s *Store) forget() {
	x := &s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.records) <= s.maxRecords+s.maxRecords/4 {
		return
	}
	extra := len(x.records) - s.maxRecords
	x.records = slices.DeleteFunc(x.records, func(r Record) bool {
		if extra <= 0 || x.waiting[r.Seq] != nil {
			return false
		}
		if _, err := os.Lstat(s.entry(r.File).Path); !errors.Is(err, os.ErrNotExist) {
			return false
		}
		extra--
		return true
	})
	for n, h := range x.hashes {
		if len(x.records) > 0 && h.Seq >= x.records[0].Seq {
			whole := fold(x.hashes[:n+1]) // what those before it tell is told by it
			x.hashes = append([]*hashes{whole}, x.hashes[n+1:]...)
			break
		}
	}
	x.dirty = true // what is in memory is written anew
}

// mendIndex writes the index anew if the file lacks what memory holds.
func (s *Store) mendIndex() error {
	s.index.writing.Lock()
	defer s.index.writing.Unlock()
	if !s.index.dirty {
		return nil
	}
	return s.rewriteIndex()
}

// appendIndex writes changes to the file and waits until they are on disk. x.writing is held.
func (s *Store) appendIndex(bodies ...body) (err error) {
	if s.index.dirty {
		if err := s.rewriteIndex(); err != nil {
			return err
		}
	}
	text, err := encode(bodies...)
	if err != nil {
		return err
	}
	s.index.dirty = true // until all of it is there
	out, err := os.OpenFile(s.indexPath(), os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, os.ErrNotExist) { // it is removed, or this is the first line
		if err := s.rewriteIndex(); err != nil {
			return err
		}
		out, err = os.OpenFile(s.indexPath(), os.O_WRONLY|os.O_APPEND, 0)
	}
	if err != nil {
		return fmt.Errorf("write the index of the history: %w", err)
	}
	_, err = out.Write(text)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("write the index of the history: %w", err)
	}
	s.index.dirty = false
	return nil
}

// rewriteIndex writes what is in memory aside and gives it the index's name. x.writing is held.
func (s *Store) rewriteIndex() (err error) {
	s.index.mu.Lock()
	records, changes := slices.Clone(s.index.records), slices.Clone(s.index.hashes)
	s.index.mu.Unlock()
	var bodies []body
	for _, r := range records {
		bodies = append(bodies, r.line())
		if !r.ServedUntil.IsZero() {
			bodies = append(bodies, body{Seq: r.Seq, Until: &r.ServedUntil})
		}
		if r.Reviewed != nil {
			bodies = append(bodies, body{Seq: r.Seq, Review: r.Reviewed})
		}
	}
	for _, h := range changes {
		bodies = append(bodies, body{Seq: h.Seq, Hashes: h})
	}
	text, err := encode(bodies...)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(s.indexPath(), indexTempPrefix, text); err != nil {
		return fmt.Errorf("write the index of the history: %w", err)
	}
	s.index.dirty = false
	return nil
}

// infoOf is what the manifest of an entry that is not written yet will say.
func infoOf(r Record, g *engine.Generation) Info {
	return Info{
		Revision: r.Revision, Generation: r.Generation, LoadedAt: g.LoadedAt().UTC().Round(0), Version: r.Version, Root: r.Root,
		Seq: r.Seq, Trigger: r.Trigger, Actor: r.Actor, Verified: g.Verified(),
	}
}
