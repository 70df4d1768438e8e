package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// ErrNone is wrapped when no entry could be used, be it that there is none.
var ErrNone = errors.New("no sound generation is kept")

// Config says where a Store lies and what it may hold. Zero fields mean the defaults given.
type Config struct {
	Dir      string // the first Save makes it, readable by its owner alone. Required.
	Keep     int    // how many sound entries are kept; default 5
	Version  string // of the program, for the record; may be empty
	MaxBytes int64  // the most that one entry may hold, unpacked; default 2 GiB
	MaxFiles int    // the most files that one entry may hold; default 200,000
}

// Store is a directory of entries. Safe for concurrent use.
type Store struct {
	cfg  Config
	most bounds

	saving sync.Mutex // held by Save; guards known
	known  map[string]verdict
}

// verdict is what reading an entry gave, for as long as its file stays what it was.
type verdict struct {
	file  fs.FileInfo
	info  Info
	wrong error
}

// New makes a store. It touches no file, so that a missing or read-only disk cannot hinder a start.
func New(cfg Config) (*Store, error) {
	if cfg.Dir == "" {
		return nil, errors.New("history: Config.Dir is required")
	}
	if cfg.Keep < 0 || cfg.MaxBytes < 0 || cfg.MaxFiles < 0 {
		return nil, fmt.Errorf("history: Keep %d, MaxBytes %d, MaxFiles %d: must not be negative", cfg.Keep, cfg.MaxBytes, cfg.MaxFiles)
	}
	if cfg.Keep == 0 {
		cfg.Keep = 5
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 2 << 30
	}
	if cfg.MaxFiles == 0 {
		cfg.MaxFiles = 200_000
	}
	return &Store{cfg: cfg, most: bounds{cfg.MaxBytes, cfg.MaxFiles}, known: map[string]verdict{}}, nil
}

// Dir is the directory of the entries.
func (s *Store) Dir() string { return s.cfg.Dir }

// Entries lists what is kept, the newest first, by name alone: whether an entry is sound shows when
// it is read. Files that are not called like entries are passed over. A directory that is not there
// has none.
func (s *Store) Entries() ([]Entry, error) {
	found, err := os.ReadDir(s.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the kept generations: %w", err)
	}
	var entries []Entry
	for _, f := range found {
		if e, ok := parseName(f.Name()); ok {
			e.Path, e.most = filepath.Join(s.cfg.Dir, e.Name), s.most
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(b.Name, a.Name) })
	return entries, nil
}

// Found is an entry that can be used.
type Found struct {
	Entry   Entry
	Info    Info
	FS      fs.FS     // a source for [engine.Load] or [engine.Trigger], in memory
	Skipped []Skipped // newer entries that could not be used, the newest first
}

// Skipped is an entry that was passed over, and why: Err wraps [ErrDamaged] when its content is
// wrong, and is accept's own error when that refused it.
type Skipped struct {
	Entry Entry
	Err   error
}

// Newest gives the newest entry that is sound and that accept, which may be nil, takes: accept is
// the place to reload from it, so that an entry which this program refuses is passed over too. When
// there is none the error wraps [ErrNone] and every reason, and Skipped lists them. Nothing on disk
// is changed.
func (s *Store) Newest(ctx context.Context, accept func(Found) error) (Found, error) {
	entries, err := s.Entries()
	if err != nil {
		return Found{}, err
	}
	var skipped []Skipped
	var reasons []error
	for _, e := range entries {
		u, err := e.read(ctx, withBytes)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process removed it meanwhile
		}
		var found Found
		if err == nil {
			found = Found{Entry: e, Info: u.info, FS: u.tree(), Skipped: skipped}
			if accept != nil {
				err = accept(found)
			}
		}
		switch {
		case err == nil:
			return found, nil
		case ctx.Err() != nil:
			return Found{Skipped: skipped}, fmt.Errorf("look for the last good generation: %w", context.Cause(ctx))
		}
		skipped = append(skipped, Skipped{e, err})
		reasons = append(reasons, fmt.Errorf("%s: %w", e.Name, err))
	}
	err = fmt.Errorf("%w in %s", ErrNone, s.cfg.Dir)
	if len(reasons) > 0 {
		err = fmt.Errorf("%w: %w", err, errors.Join(reasons...))
	}
	return Found{Skipped: skipped}, err
}
