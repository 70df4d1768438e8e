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

// Config configures [New]. Zero fields mean the defaults given.
type Config struct {
	Path  string // of the database. Required; its directory must exist
	RunID string // of the process, in every record; default a new UUID

	MaxAge   time.Duration // older records are removed; default 90 days; negative: never
	MaxBytes int64         // the oldest are removed while the records take more; default 256 MiB; negative: never
	Backlog  int           // records kept in memory while writing fails; default 1,024

	PruneEvery  time.Duration // how often retention looks; default an hour
	RetryEvery  time.Duration // how often a failed write is tried again; default 5 s
	BusyTimeout time.Duration // how long to wait for another process's lock; default 1 s
}

func (c *Config) setDefaults() {
	c.RunID = cmp.Or(c.RunID, uuid.NewString())
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
	lists   atomic.Pointer[Lists] // nil until they have been read
	store   atomic.Pointer[store] // nil while the database is not open; only Run sets it
	verify  chan struct{}         // holds one: a verification reads everything

	previous *chain // of a database that was moved away, until its successor has a record of that; only Run uses it

	mu      sync.Mutex // guards the fields below
	queue   []*item
	orphans int // records in queue that no caller waits for: the backlog
	ended   bool
	health  Health
	err     error // why writing fails; nil if it works
}

// New creates or migrates the database at cfg.Path, reads the lists, and closes it again: [Log.Run] opens
// it. It returns an error for conditions that need an operator: no directory, a file that is not a
// database, a damaged one, one of another program, or of a newer version ([*VersionError]). Conditions that
// may pass, such as a full disk or a lock, are not errors; [Log.Health] reports them.
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

// load reads what is needed before Run: the lists, for decisions, and the head of the chain.
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

// Append writes r and returns nil when it is on disk. A [*NotDurableError] means that it is not, because
// writing failed or ctx ended first, and says whether the record is kept. Any other error means that r is
// not a valid record. Before [Log.Run] starts, Append waits for it.
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

// Health is the state of a Log at one moment.
type Health struct {
	OK            bool       `json:"ok"`              // the last attempt to write succeeded
	Error         string     `json:"error"`           // why it failed
	FailedAt      *time.Time `json:"failed_at"`       // time of the last failure, also of one that is over
	Backlog       int        `json:"backlog"`         // records in memory that no caller waits for
	Lost          uint64     `json:"lost"`            // records lost since the start
	Written       uint64     `json:"written"`         // since the start
	Head          Head       `json:"head"`            // the newest record on disk
	ChainID       string     `json:"chain_id"`        // unique to each new database
	Bytes         int64      `json:"bytes"`           // of the database's files
	RetentionErr  string     `json:"retention_error"` // why the oldest records could not be removed
	RetentionDone *time.Time `json:"retention_at"`    // last run of retention
}

// Health returns the current health.
func (l *Log) Health() Health {
	l.mu.Lock()
	h := l.health
	h.OK, h.Error, h.Backlog = l.err == nil, oneLine(l.err), l.orphans
	l.mu.Unlock()
	for _, name := range []string{l.cfg.Path, l.cfg.Path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			h.Bytes += info.Size()
		}
	}
	return h
}

// Query returns the records that f selects, newest first. For the next page, set f.Before to the Seq of
// the last record. It also works while writing fails.
func (l *Log) Query(ctx context.Context, f Filter) ([]Record, error) {
	s := l.store.Load()
	if s == nil {
		return nil, l.notOpen()
	}
	return query(ctx, s.read, f)
}

// Verify reads all records and reports whether they are the ones that were written and include the noted
// heads, which were stored elsewhere. An error means that they could not be read. Concurrent calls run one
// after another.
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
