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

// Save keeps a generation as the newest entry and removes what is then too old. When the newest
// entry holds that revision already, below the same root, and is sound, it stays as it is. An entry
// returned with an error is kept all the same if its Name is not empty: then only the removing went
// wrong. Cancelling ctx leaves the entries as they were.
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
			info, err := s.judge(ctx, newest)
			if err == nil && info.Revision == g.Revision() && info.Root == g.Root() {
				return newest, nil
			}
		}
		// A clock that was set back must not make the newest entry look old.
		if earliest := newest.Time.Add(time.Microsecond); began.Before(earliest) {
			began = earliest
		}
	}
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	e := nameFor(began, g.Revision())
	e.Path, e.most = filepath.Join(s.cfg.Dir, e.Name), s.most
	return e, s.write(ctx, g, e, p)
}

// tempPrefix begins the names of files that are being written. It is hidden, and no entry's.
const tempPrefix = ".saving-"

// write gives the entry its name as the last step, when nothing about it can go wrong any more.
func (s *Store) write(ctx context.Context, g *engine.Generation, e Entry, p *pace) (err error) {
	temp, err := os.CreateTemp(s.cfg.Dir, tempPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			temp.Close()           //nolint:errcheck,gosec // perhaps closed already; the first error tells
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
	const stretch = 4096 // unpacks to what takes about a turn
	u, err := unpack(ctx, bufio.NewReaderSize(&pacedReader{ctx, p, temp}, stretch), s.most, hashesOnly)
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
		s.known[e.Name] = verdict{file: file, info: u.info}
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

func (s *Store) tidy() {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.removeLeftovers()
}

// removeLeftovers removes what saves that were killed have left. What cannot be removed does no
// harm, and is tried again by the next Save.
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

// sweep removes what is older than the newest Keep sound entries. Damaged ones among those stay,
// the newest Keep of them at most.
func (s *Store) sweep(ctx context.Context) error {
	entries, err := s.Entries()
	if err != nil || len(entries) <= s.cfg.Keep {
		return err
	}
	var failed []error
	sound, damaged := 0, 0
	for _, e := range entries {
		if sound < s.cfg.Keep {
			_, err := s.judge(ctx, e)
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
		delete(s.known, e.Name)
		if err := e.remove(); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// judge reads an entry through unless its file is one that was judged before.
func (s *Store) judge(ctx context.Context, e Entry) (Info, error) {
	file, err := os.Lstat(e.Path)
	if err != nil {
		return Info{}, err
	}
	if v, ok := s.known[e.Name]; ok && os.SameFile(v.file, file) && v.file.Size() == file.Size() && v.file.ModTime().Equal(file.ModTime()) {
		return v.info, v.wrong
	}
	u, err := e.read(ctx, hashesOnly)
	switch {
	case err == nil:
		s.known[e.Name] = verdict{file: file, info: u.info}
		return u.info, nil
	case errors.Is(err, ErrDamaged):
		s.known[e.Name] = verdict{file: file, wrong: err}
	}
	return Info{}, err
}

// syncDir makes the names in a directory last. Some file systems cannot, and need not.
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
