package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Config says where a Log lies and how long it keeps what. Zero fields mean the defaults given.
type Config struct {
	Path  string // Required: the database. Its directory exists.
	RunID string // of the process, in every record; default a new UUID

	MaxAge   time.Duration // older records are removed; default 90 days; negative: never
	MaxBytes int64         // the oldest are removed while the records take more; default 256 MiB; negative: never
	Backlog  int           // records kept in memory while the disk takes none; default 1,024

	PruneEvery  time.Duration // how often retention looks; default an hour
	RetryEvery  time.Duration // how often a disk that took nothing is tried again; default 5 s
	BusyTimeout time.Duration // how long a lock of another process is waited for; default 1 s
}

func (c *Config) setDefaults() {
	if c.RunID == "" {
		c.RunID = uuid.NewString()
	}
	c.MaxAge = cmp.Or(c.MaxAge, 90*24*time.Hour)
	c.MaxBytes = cmp.Or(c.MaxBytes, 256<<20)
	c.Backlog = cmp.Or(c.Backlog, 1024)
	c.PruneEvery = cmp.Or(c.PruneEvery, time.Hour)
	c.RetryEvery = cmp.Or(c.RetryEvery, 5*time.Second)
	c.BusyTimeout = cmp.Or(c.BusyTimeout, time.Second)
}

// Log is the audit log of one running sidecar. Its methods may be called concurrently.
type Log struct {
	cfg     Config
	wake    chan struct{} // holds one
	limited limiter
	lists   atomic.Pointer[Lists] // nil until they could be read
	store   atomic.Pointer[store] // nil while the database is not open; Run's to set
	verify  chan struct{}         // holds one: a verification reads everything

	previous *chain // Run's own: of a database that vanished, until its successor says so

	mu      sync.Mutex // guards the fields below
	queue   []*item
	orphans int // records in queue that nobody waits for
	ended   bool
	health  Health
	err     error // why nothing is written; nil when it is
}

// New brings the database at cfg.Path up to date, makes it where there is none, reads the lists, and
// closes it again: [Log.Run] opens it. The error says what will not heal by itself: no directory, a
// file that is no database, or damaged, or another program's, or a newer one's ([*VersionError]).
// What may heal (a full disk, a lock) is no error but is told by [Log.Health].
func New(cfg Config) (*Log, error) {
	if cfg.Path == "" {
		return nil, errors.New("audit: Config.Path is required")
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("audit: find %s: %w", cfg.Path, err)
	}
	cfg.Path = path
	cfg.setDefaults()
	l := &Log{cfg: cfg, wake: make(chan struct{}, 1), verify: make(chan struct{}, 1), err: ErrNotRunning}
	ctx := context.Background()
	s, err := openStore(ctx, cfg.Path, cfg.BusyTimeout)
	switch {
	case err == nil:
		err = errors.Join(l.load(ctx, s.read), s.close())
	case mayHeal(err):
		l.err = err
		err = nil
		if info, e := os.Stat(path); errors.Is(e, fs.ErrNotExist) || e == nil && info.Size() == 0 {
			l.lists.Store(&Lists{Block: []Entry{}, Allow: []Entry{}})
		} else if r, e := OpenReadOnly(ctx, path); e == nil { // it may still be readable
			err = errors.Join(l.load(ctx, r.db), r.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return l, nil
}

// load reads what must be known before Run runs: the lists, for decisions, and where the chain ends.
func (l *Log) load(ctx context.Context, db querier) error {
	c, err := readChain(ctx, db)
	if err != nil {
		return err
	}
	lists, err := readLists(ctx, db)
	if err != nil {
		return fmt.Errorf("read the block and allow lists: %w", err)
	}
	l.health.Head, l.health.ChainID = c.head, c.id
	l.lists.Store(lists)
	return nil
}

// Append writes r and returns nil when it is on disk. A [*NotDurableError] says that it is not,
// because writing failed or ctx ended first, and whether it is kept; any other error, that r cannot
// be a record. Waits for [Log.Run] to run.
func (l *Log) Append(ctx context.Context, r Record) error {
	v, err := prepare(r, l.cfg.RunID)
	if err != nil {
		return err
	}
	it := newItem()
	it.values = v
	if !l.enqueue(it) {
		return &NotDurableError{Action: r.Action, Lost: true, Err: ErrNotRunning}
	}
	select {
	case err := <-it.done:
		return err
	case <-ctx.Done():
		return l.abandon(it, ctx.Err())
	}
}

// Health is one moment of a Log.
type Health struct {
	OK            bool       `json:"ok"`              // the last attempt to write went well
	Error         string     `json:"error"`           // why it did not
	FailedAt      *time.Time `json:"failed_at"`       // of the last failure, whether or not it is over
	Backlog       int        `json:"backlog"`         // records in memory that no call waits for
	Lost          uint64     `json:"lost"`            // records that were given up, since the start
	Written       uint64     `json:"written"`         // since the start
	Head          Head       `json:"head"`            // the newest record on disk
	ChainID       string     `json:"chain_id"`        // differs for every database that was begun
	Bytes         int64      `json:"bytes"`           // of the database's files
	RetentionErr  string     `json:"retention_error"` // why the oldest records could not be removed
	RetentionDone *time.Time `json:"retention_at"`    // when retention looked last
}

// Health tells how writing goes.
func (l *Log) Health() Health {
	l.mu.Lock()
	h := l.health
	h.OK, h.Error, h.Backlog = l.err == nil, inWords(l.err), l.orphans
	l.mu.Unlock()
	for _, name := range []string{l.cfg.Path, l.cfg.Path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			h.Bytes += info.Size()
		}
	}
	return h
}

// Query gives the records that f selects, newest first. The next page is asked for with the last
// one's Seq as f.Before. Works while writing does not.
func (l *Log) Query(ctx context.Context, f Filter) ([]Record, error) {
	s := l.store.Load()
	if s == nil {
		return nil, l.notOpen()
	}
	return query(ctx, s.read, f)
}

// Verify reads all records and tells whether they are the ones that were written, and whether those
// heads are among them that somebody noted elsewhere. The error says that they could not be read.
// One verification runs at a time.
func (l *Log) Verify(ctx context.Context, noted ...Head) (VerifyReport, error) {
	select {
	case l.verify <- struct{}{}:
		defer func() { <-l.verify }()
	case <-ctx.Done():
		return VerifyReport{}, ctx.Err()
	}
	s := l.store.Load()
	if s == nil {
		return VerifyReport{}, l.notOpen()
	}
	return verify(ctx, s.read, noted)
}

func (l *Log) notOpen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return ErrNotRunning
	}
	return fmt.Errorf("read the audit database: %w", l.err)
}
