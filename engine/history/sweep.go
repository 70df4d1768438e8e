package history

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"
)

// sweep removes entries until no more than Keep sound ones are left, and no more than MaxTotalBytes. The newest half stay. Of
// the older ones those stay that served longest compared with how long ago that was: a burst of saves replaces its own
// short-lived versions, and not the one that served for weeks before it. What is protected stays, and so does the
// newest. Of the damaged entries among those that stay it keeps the newest Keep, as evidence.
func (s *Store) sweep(ctx context.Context, p *pace) error {
	entries, err := s.Entries()
	if err != nil {
		return err
	}
	files := make([]sweptFile, 0, len(entries))
	total := int64(0)
	for _, e := range entries {
		f := sweptFile{Entry: e}
		if info, err := os.Lstat(e.Path); err == nil {
			f.bytes = info.Size()
		}
		total += f.bytes
		files = append(files, f)
	}
	if len(files) <= s.cfg.Keep && total <= s.cfg.MaxTotalBytes {
		return nil
	}
	for i := range files {
		f := &files[i]
		info, err := s.check(ctx, f.Entry, p)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.sound, f.damaged, f.revision = err == nil, errors.Is(err, ErrDamaged), info.Revision
	}
	return s.remove(s.surplus(files, total))
}

// sweptFile is an entry as the sweep sees it.
type sweptFile struct {
	Entry
	bytes    int64
	sound    bool // neither sound nor damaged: it cannot be read now, which says nothing about what it holds
	damaged  bool
	revision string
	spared   bool
	worth    float64 // how long it served, as a share of how long ago that was
}

// surplus returns the files to remove. They are the newest first.
func (s *Store) surplus(files []sweptFile, total int64) (gone []Entry) {
	s.spare(files)
	s.weigh(files, time.Now())
	sound := 0
	for _, f := range files {
		if f.sound {
			sound++
		}
	}
	drop := func(i int) {
		gone = append(gone, files[i].Entry)
		total -= files[i].bytes
		if files[i].sound {
			sound--
		}
		files = slices.Delete(files, i, i+1)
	}
	for sound > s.cfg.Keep || total > s.cfg.MaxTotalBytes {
		i := leastWorth(files, (s.cfg.Keep+1)/2, total > s.cfg.MaxTotalBytes)
		if i < 0 {
			break
		}
		drop(i)
	}
	seen, damaged := 0, 0
	for i := 0; i < len(files); i++ {
		switch f := files[i]; {
		case f.sound:
			seen++
		case f.damaged && (seen >= s.cfg.Keep || damaged == s.cfg.Keep):
			drop(i)
			i--
		case f.damaged:
			damaged++
		}
	}
	return gone
}

// spare marks the newest sound file, and the newest sound one of each protected revision.
func (s *Store) spare(files []sweptFile) {
	s.mu.Lock()
	ask := s.protected
	s.mu.Unlock()
	var revisions []string
	if ask != nil {
		revisions = slices.Clone(ask())
	}
	newest := true
	for i := range files {
		f := &files[i]
		if !f.sound {
			continue
		}
		if at := slices.Index(revisions, f.revision); at >= 0 {
			f.spared = true
			revisions = slices.Delete(revisions, at, at+1)
		}
		f.spared = f.spared || newest
		newest = false
	}
}

// weigh finds out how long each served. Where no record tells, it is the time until the next entry.
func (s *Store) weigh(files []sweptFile, now time.Time) {
	records, err := s.Records()
	if err != nil {
		records = nil
	}
	for i := range files {
		f := &files[i]
		from, until := f.Time, now
		if i > 0 {
			until = files[i-1].Time
		}
		if at := slices.IndexFunc(records, func(r Record) bool { return r.File == f.Name }); at >= 0 {
			from = records[at].ServedFrom
			if !records[at].ServedUntil.IsZero() {
				until = records[at].ServedUntil
			}
		}
		const moment = time.Microsecond // a clock that was set back
		f.worth = float64(max(until.Sub(from), moment)) / float64(max(now.Sub(until), moment))
	}
}

// leastWorth returns the sound file to remove next, the oldest of equals; -1 if there is none. Among the newest that many
// sound ones it looks only when there is no other and the space is needed.
func leastWorth(files []sweptFile, recent int, needsSpace bool) int {
	least, leastRecent, sound := -1, -1, 0
	for i, f := range files {
		if !f.sound {
			continue
		}
		sound++
		switch {
		case f.spared:
		case sound <= recent:
			leastRecent = i
		case least < 0 || f.worth <= files[least].worth:
			least = i
		}
	}
	if least < 0 && needsSpace {
		return leastRecent
	}
	return least
}

func (s *Store) remove(entries []Entry) error {
	var failed []error
	for _, e := range entries {
		s.mu.Lock()
		delete(s.checks, e.Name)
		s.mu.Unlock()
		if err := e.remove(); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
