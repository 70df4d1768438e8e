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

	"defenseclaw/engine"
)

// ErrNone is wrapped if no entry could be used, or there is none.
var ErrNone = errors.New("no sound generation is kept")

// Config says where a Store is and what it may hold. Zero fields mean the defaults given.
type Config struct {
	Dir           string      // created by the first Save, readable by its owner alone. Required.
	Keep          int         // number of sound entries to keep; default 20
	MaxTotalBytes int64       // size limit of all entries together, as they lie on disk; default 1 GiB
	Version       string      // of the program, recorded in each entry; may be empty
	MaxBytes      int64       // size limit of one entry, unpacked; default 2 GiB
	MaxFiles      int         // limit for the files of one entry; default 200,000
	Notice        func(error) // told of an index that was damaged or missing, and is made anew; may be nil
}

func (c Config) notice(err error) {
	if c.Notice != nil {
		c.Notice(err)
	}
}

// Store is a directory of entries. Safe for concurrent use.
type Store struct {
	cfg    Config
	limits limits

	maxRecords int // that the index tells of

	saving sync.Mutex // held while an entry is saved and others are swept
	index  index

	mu        sync.Mutex       // guards the fields below
	checks    map[string]check // by the names of entries
	protected func() []string
}

// check is the result of reading an entry. It holds as long as the entry's file is the same.
type check struct {
	file   fs.FileInfo
	info   Info
	damage error
}

// New makes a store. It touches no file, so that a missing or read-only disk does not prevent a start.
func New(cfg Config) (*Store, error) {
	if cfg.Dir == "" {
		return nil, errors.New("history: Config.Dir is required")
	}
	if cfg.Keep < 0 || cfg.MaxTotalBytes < 0 || cfg.MaxBytes < 0 || cfg.MaxFiles < 0 {
		return nil, fmt.Errorf("history: Keep %d, MaxTotalBytes %d, MaxBytes %d, MaxFiles %d: must not be negative",
			cfg.Keep, cfg.MaxTotalBytes, cfg.MaxBytes, cfg.MaxFiles)
	}
	if cfg.Keep == 0 {
		cfg.Keep = DefaultKeep
	}
	if cfg.MaxTotalBytes == 0 {
		cfg.MaxTotalBytes = DefaultMaxTotalBytes
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 2 << 30
	}
	if cfg.MaxFiles == 0 {
		cfg.MaxFiles = 200_000
	}
	return &Store{
		cfg: cfg, limits: limits{cfg.MaxBytes, cfg.MaxFiles}, maxRecords: maxRecords, checks: map[string]check{},
		index: index{waiting: map[uint64]*engine.Generation{}},
	}, nil
}

// The defaults of a Config.
const (
	DefaultKeep          = 20
	DefaultMaxTotalBytes = 1 << 30
)

// Protect names a function that is asked before entries are swept, and lists the revisions whose newest sound entry must
// stay: what is pinned or confirmed, or the way back. It is called in the background and must not wait for a save.
func (s *Store) Protect(revisions func() []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.protected = revisions
}

// Dir returns the directory of the entries.
func (s *Store) Dir() string { return s.cfg.Dir }

// Entries lists what is kept, the newest first, by name alone: whether an entry is sound shows when
// it is read. Files with other names are skipped. A directory that does not exist has no entries.
func (s *Store) Entries() ([]Entry, error) {
	found, err := os.ReadDir(s.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the kept generations: %w", err)
	}
	var entries []Entry
	for _, f := range found {
		if e, ok := parseName(f.Name()); ok {
			e.Path, e.limits = filepath.Join(s.cfg.Dir, e.Name), s.limits
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

// Skipped is an entry that could not be used, and why: Err wraps [ErrDamaged] if its content is
// wrong, and is accept's own error if that refused it.
type Skipped struct {
	Entry Entry
	Err   error
}

// Newest returns the newest entry that is sound and that accept, which may be nil, does not refuse.
// accept is the place to reload from the entry, so that one which this program refuses is skipped too.
// If none is left the error wraps [ErrNone] and every reason, and Skipped lists them. Nothing on disk
// is changed.
func (s *Store) Newest(ctx context.Context, accept func(Found) error) (Found, error) {
	entries, err := s.Entries()
	if err != nil {
		return Found{}, err
	}
	var skipped []Skipped
	var reasons []error
	for _, e := range entries {
		u, err := e.read(ctx, withBytes, nil)
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
