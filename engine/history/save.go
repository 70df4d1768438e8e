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
	"syscall"
	"time"

	"defenseclaw/engine"
)

// Save keeps a generation as the newest entry and removes what is then too old. If the newest entry
// holds that revision already, below the same root, and is sound, it stays as it is. An entry returned
// together with an error is kept if its Name is not empty: then only removing old ones failed.
// Cancelling ctx leaves the entries as they were.
func (s *Store) Save(ctx context.Context, g *engine.Generation) (Entry, error) {
	return s.keep(ctx, g, nil)
}

// keep is Save at a pace.
func (s *Store) keep(ctx context.Context, g *engine.Generation, p *pace) (Entry, error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	kept, err := s.save(ctx, g, p)
	if err != nil {
		return Entry{}, fmt.Errorf("keep generation %d: %w", g.Number(), err)
	}
	if err := s.sweep(ctx); err != nil {
		return kept, fmt.Errorf("remove old generations: %w", err)
	}
	return kept, nil
}

func (s *Store) save(ctx context.Context, g *engine.Generation, p *pace) (Entry, error) {
	if err := s.makeDir(); err != nil {
		return Entry{}, err
	}
	s.removeLeftovers()
	entries, err := s.Entries()
	if err != nil {
		return Entry{}, err
	}
	began := g.LoadedAt()
	if began.IsZero() {
		began = time.Now()
	}
	if len(entries) > 0 {
		newest := entries[0]
		if newest.mayHold(g.Revision()) {
			info, err := s.check(ctx, newest)
			if err == nil && info.Revision == g.Revision() && info.Root == g.Root() {
				return newest, nil
			}
		}
		// If the clock was set back, the newest entry would else sort as an old one.
		if earliest := newest.Time.Add(time.Microsecond); began.Before(earliest) {
			began = earliest
		}
	}
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	e := nameFor(began, g.Revision())
	e.Path, e.limits = filepath.Join(s.cfg.Dir, e.Name), s.limits
	return e, s.write(ctx, g, e, p)
}

// tempPrefix begins the names of files that are being written. No entry's name begins so.
const tempPrefix = ".saving-"

// write gives the file its final name as the last step, when the content is on disk and was read back.
// It does without google/renameio, which has no build for Windows, syncs no directory, and has no
// place for the reading back.
func (s *Store) write(ctx context.Context, g *engine.Generation, e Entry, p *pace) (err error) {
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
	if err := pack(ctx, &pacedWriter{ctx, p, buffered}, g, s.cfg.Version); err != nil {
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
	const readBytes = 4096 // unpacking as much takes about one turn
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
		s.checks[e.Name] = check{file: file, info: u.info}
	}
	return syncDir(s.cfg.Dir)
}

func (s *Store) makeDir() error {
	if _, err := os.Stat(s.cfg.Dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.cfg.Dir))
}

func (s *Store) lockAndRemoveLeftovers() {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.removeLeftovers()
}

// removeLeftovers removes the temporary files of saves that were killed. One that cannot be removed does
// no harm, and the next Save tries again.
func (s *Store) removeLeftovers() {
	found, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return
	}
	for _, f := range found {
		if strings.HasPrefix(f.Name(), tempPrefix) && f.Type().IsRegular() {
			os.Remove(filepath.Join(s.cfg.Dir, f.Name())) //nolint:errcheck,gosec // see above
		}
	}
}

// sweep removes the entries older than the newest Keep sound ones. Of the damaged entries among those
// it keeps the newest Keep too, as evidence.
func (s *Store) sweep(ctx context.Context) error {
	entries, err := s.Entries()
	if err != nil || len(entries) <= s.cfg.Keep {
		return err
	}
	var failed []error
	sound, damaged := 0, 0
	for _, e := range entries {
		if sound < s.cfg.Keep {
			_, err := s.check(ctx, e)
			switch {
			case err == nil:
				sound++
				continue
			case ctx.Err() != nil:
				return ctx.Err()
			case !errors.Is(err, ErrDamaged):
				continue // it cannot be read now, which says nothing about what it holds
			case damaged < s.cfg.Keep:
				damaged++
				continue
			}
		}
		delete(s.checks, e.Name)
		if err := e.remove(); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// check reads an entry to its end, or returns the result of the last time if the file is the same.
func (s *Store) check(ctx context.Context, e Entry) (Info, error) {
	file, err := os.Lstat(e.Path)
	if err != nil {
		return Info{}, err
	}
	if c, ok := s.checks[e.Name]; ok && os.SameFile(c.file, file) &&
		c.file.Size() == file.Size() && c.file.ModTime().Equal(file.ModTime()) {
		return c.info, c.damage
	}
	u, err := e.read(ctx, hashesOnly)
	switch {
	case err == nil:
		s.checks[e.Name] = check{file: file, info: u.info}
		return u.info, nil
	case errors.Is(err, ErrDamaged):
		s.checks[e.Name] = check{file: file, damage: err}
	}
	return Info{}, err
}

// syncDir makes the names in a directory survive a crash. File systems that cannot sync a directory
// say so, and do not need it.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the store's own
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // it was only read
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
