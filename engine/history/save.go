package history

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/engine"
	"defenseclaw/engine/durable"
)

// Save keeps a generation as the newest entry, under a number of its own, and removes what is then too much. If the
// newest entry holds that revision already, below the same root, and is sound, it stays as it is. An entry returned
// together with an error is kept if its Name is not empty: then only the index or removing old ones failed.
// Cancelling ctx leaves the entries as they were.
func (s *Store) Save(ctx context.Context, g *engine.Generation) (Entry, error) {
	return s.SaveServed(ctx, Served{Generation: g})
}

// SaveServed is Save of a generation of which more is known.
func (s *Store) SaveServed(ctx context.Context, what Served) (Entry, error) {
	r, noted := s.note(ctx, what, nil)
	if r.Seq == 0 {
		return Entry{}, fmt.Errorf("keep generation %d: %w", what.Generation.Number(), noted)
	}
	e, err := s.save(ctx, r, what.Generation, nil)
	if err != nil {
		s.written(r.Seq)
	}
	if err == nil {
		err = s.hash(ctx, r, what.Generation, what.Previous, nil)
	}
	return e, errors.Join(noted, err)
}

// save writes the entry of a record, unless it is there, and sweeps.
func (s *Store) save(ctx context.Context, r Record, g *engine.Generation, p *pace) (Entry, error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.removeLeftovers()
	e := s.entry(r.File)
	if _, err := os.Lstat(e.Path); err != nil {
		if err := s.write(ctx, g, e, r, p); err != nil {
			return Entry{}, fmt.Errorf("keep generation %d: %w", g.Number(), err)
		}
	}
	s.written(r.Seq)
	if err := s.sweep(ctx, p); err != nil {
		return e, fmt.Errorf("remove old generations: %w", err)
	}
	return e, nil
}

// tempPrefix begins the names of files that are being written. No entry's name begins so.
const (
	tempPrefix      = ".saving-"
	indexTempPrefix = ".index-"
)

// write gives the file its final name as the last step, when the content is on disk and was read back.
// It does without [durable.WriteFile], which has no place for the reading back.
func (s *Store) write(ctx context.Context, g *engine.Generation, e Entry, r Record, p *pace) (err error) {
	temp, err := os.CreateTemp(s.cfg.Dir, tempPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			temp.Close()           //nolint:errcheck,gosec // it may be closed already; the first error counts
			os.Remove(temp.Name()) //nolint:errcheck,gosec // the next Save removes it
		}
	}()
	buffered := bufio.NewWriterSize(temp, 1<<18)
	if err := pack(ctx, &pacedWriter{ctx, p, buffered}, g, s.cfg.Version, r); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if _, err := temp.Seek(0, io.SeekStart); err != nil {
		return err
	}
	u, err := unpack(ctx, bufio.NewReaderSize(&pacedReader{ctx, p, temp}, readBytes), s.limits, hashesOnly)
	if err == nil && u.info.Revision != g.Revision() {
		err = fmt.Errorf("it has revision %s", u.info.Revision)
	}
	if err != nil {
		return fmt.Errorf("read back what was written: %w", err)
	}
	if err := temp.Close(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), e.Path); err != nil {
		return err
	}
	if file, err := os.Lstat(e.Path); err == nil {
		s.remember(e, check{file: file, info: u.info})
	}
	return durable.SyncDir(s.cfg.Dir)
}

func (s *Store) makeDir() error {
	if _, err := os.Stat(s.cfg.Dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(s.cfg.Dir))
}

func (s *Store) removeAllLeftovers() {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.index.writing.Lock() // an index that is written aside is no leftover
	defer s.index.writing.Unlock()
	s.removeLeftovers()
	s.removeTemporary(indexTempPrefix)
}

// removeLeftovers removes the temporary files of saves that were killed. One that cannot be removed does
// no harm, and the next Save tries again.
func (s *Store) removeLeftovers() { s.removeTemporary(tempPrefix) }

func (s *Store) removeTemporary(prefix string) {
	found, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return
	}
	for _, f := range found {
		if strings.HasPrefix(f.Name(), prefix) && f.Type().IsRegular() {
			os.Remove(filepath.Join(s.cfg.Dir, f.Name())) //nolint:errcheck,gosec // see above
		}
	}
}

// check reads an entry to its end, or returns the result of the last time if the file is the same.
func (s *Store) check(ctx context.Context, e Entry, p *pace) (Info, error) {
	file, err := os.Lstat(e.Path)
	if err != nil {
		return Info{}, err
	}
	s.mu.Lock()
	c, ok := s.checks[e.Name]
	s.mu.Unlock()
	if ok && os.SameFile(c.file, file) && c.file.Size() == file.Size() && c.file.ModTime().Equal(file.ModTime()) {
		return c.info, c.damage
	}
	u, err := e.read(ctx, hashesOnly, p)
	switch {
	case err == nil:
		s.remember(e, check{file: file, info: u.info})
		return u.info, nil
	case errors.Is(err, ErrDamaged):
		s.remember(e, check{file: file, damage: err})
	}
	return Info{}, err
}

func (s *Store) remember(e Entry, c check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks[e.Name] = c
}
