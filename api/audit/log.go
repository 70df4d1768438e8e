package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Config configures [New]. Zero fields mean the defaults given.
type Config struct {
	Path  string // of the database. Required; its directory must exist
	RunID string // of the process, in every record; default a new UUID

	// Original is the path of the original gateway's database, which is read. A log that an earlier version kept there
	// is moved to Path, and only then that file is written. Empty: none.
	Original string

	MaxAge   time.Duration // older records are removed; default 90 days; negative: never
	MaxBytes int64         // the oldest are removed while the records take more; default 256 MiB; negative: never
	Backlog  int           // records kept in memory while writing fails; default 1,024

	PruneEvery  time.Duration // how often retention looks; default an hour
	RetryEvery  time.Duration // how often a failed write is tried again; default 5 s
	BusyTimeout time.Duration // how long to wait for another process's lock; default 1 s

	// Alarm is called by Run's goroutine with each record that the log makes of a fault of its own: a database that was
	// replaced or changed by others, lost records, records removed before their age. Nil: none.
	Alarm func(Record)
	// Imported is called by Run's goroutine when the original gateway's lists were taken over, by New or later. Nil: none.
	Imported func(Imported)
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

	// Only Run uses these.
	previous    *chain // of a database that was moved away, until its successor has a record of that
	stopped     string // how the database was changed before the start, until a record says so
	unsure      bool   // the last write failed, but may have been committed
	expiring    *item  // takes expired entries off the lists, until its answer was read
	witnessed   Head   // as the witness has it
	witnessedAt time.Time

	// New and Run use these, one after the other.
	opened   *store    // by New, for Run; nil when it could not, and once Run has it
	imported string    // the hash of what was taken over from the original gateway; empty: nothing was
	offer    *Import   // what the original has now, where that is something else
	done     *Imported // what was taken over, until Config.Imported was told
	alarms   []Record  // of that

	mu      sync.Mutex // guards the fields below
	queue   []*item
	orphans int // records in queue that no caller waits for: the backlog
	ended   bool
	health  Health
	err     error // why writing fails; nil if it works

	distrusted error // why the lists of the database do not decide; nil if they do
	missing    error // why those of the original gateway are not among them; nil if nothing is missing
	suspect    error // why the records from before the start prove nothing; nil if they do
}

// New creates or migrates the database at cfg.Path and reads the lists. It leaves the database open for [Log.Run]; a caller
// that will not call Run calls [Log.Close]. It returns an error for conditions that need an operator: no directory, a file
// that is not a database, a damaged one, one of another program, or of a newer version ([*VersionError]). Conditions that
// may pass, such as a full disk or a lock, are not errors; [Log.Health] reports them, and Run opens the database later.
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
	if err := bringAlong(ctx, cfg.Original, cfg.Path, cfg.BusyTimeout); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	s, err := openStore(ctx, cfg.Path, cfg.BusyTimeout)
	switch {
	case err == nil:
		if err = l.load(ctx, s.write); err == nil {
			err = l.takeIn(ctx, s)
		}
		if err != nil {
			err = errors.Join(err, s.close())
			break
		}
		l.opened = s
	case mayHeal(err):
		l.err = err
		err = l.loadReadOnly(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return l, nil
}

// loadReadOnly is load where the database cannot be opened for writing now.
func (l *Log) loadReadOnly(ctx context.Context) error {
	if there, err := exists(l.cfg.Path); err == nil && !there {
		if w, e := readWitness(l.cfg.Path); e == nil && (w == nil || w.Lists == emptyLists()) {
			l.lists.Store(&Lists{Block: []Entry{}, Allow: []Entry{}})
		}
		return l.await(ctx, nil)
	}
	r, err := OpenReadOnly(ctx, l.cfg.Path)
	if err != nil {
		return nil //nolint:nilerr // l.err says why; the lists stay unread, and Run tries again
	}
	return errors.Join(l.load(ctx, r.db), l.await(ctx, r.db), r.Close())
}

// Close closes the database of a log for which [Log.Run] is not called.
func (l *Log) Close() error {
	if l.opened == nil {
		return nil
	}
	return l.opened.close()
}

// load reads what is needed before Run: the lists, for decisions, and the head of the chain, which it compares.
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
	return l.compare(ctx, db, c)
}

// compare compares the database with the witness. What differs is recorded by Run. Lists that are not the ones that
// the witness saw do not decide.
func (l *Log) compare(ctx context.Context, db querier, c chain) error {
	problem := ""
	w, err := readWitness(l.cfg.Path)
	if err != nil {
		w, problem = &witness{}, err.Error() // it proves nothing, so nothing is trusted
	} else if w != nil {
		if problem, err = w.disagrees(ctx, db, c); err != nil {
			return err
		}
	}
	if problem != "" {
		l.previous, l.stopped = &chain{id: w.ChainID, head: w.Head}, problem
		l.suspect = fmt.Errorf("%s, while the sidecar was stopped", problem)
	}
	if w == nil {
		return l.accept(ctx, db, c)
	}
	if l.distrusted = distrust(ctx, db, l.cfg.Path, w, problem); l.distrusted != nil {
		l.lists.Store(nil)
	}
	return nil
}

// accept takes the lists as they are, where there is no witness: at the first start, or after an operator removed it. A
// change without a record gets one, so that the next start agrees.
func (l *Log) accept(ctx context.Context, db querier, c chain) error {
	now, err := listsHash(ctx, db)
	if err != nil {
		return err
	}
	recorded, err := recordedLists(ctx, db)
	if err == nil && now != recorded {
		l.previous, l.stopped = &c, "the block and allow lists were changed without a record, and were accepted"
	}
	return err
}

// Append writes r and returns nil when it is on disk. A [*NotDurableError] means that it is not, because
// writing failed or ctx ended first, and says whether the record is kept. Any other error means that r is
// not a valid record. Before [Log.Run] starts, Append waits for it.
func (l *Log) Append(ctx context.Context, r Record) error { return l.Begin(r)(ctx) }

// Begin is Append in two parts. It gives r its place behind all that was appended before, and returns what waits until r is
// on disk, to be called once.
func (l *Log) Begin(r Record) (wait func(context.Context) error) {
	v, err := prepare(r, l.cfg.RunID)
	if err != nil {
		return func(context.Context) error { return err }
	}
	it := newItem()
	it.values = v
	if !l.enqueue(it) {
		return func(context.Context) error { return &NotDurableError{Action: r.Action, Lost: true, Err: ErrNotRunning} }
	}
	return func(ctx context.Context) error {
		select {
		case err := <-it.done:
			return err
		case <-ctx.Done():
			return l.abandon(it, ctx.Err())
		}
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
	Alarms        uint64     `json:"alarms"`          // records about faults of the log itself since the start
	Alarm         string     `json:"alarm"`           // the newest of them, or why the lists do not decide
	Early         uint64     `json:"removed_early"`   // records removed for their size before they had the age
	WitnessErr    string     `json:"witness_error"`   // why the file that the next start compares could not be written
}

// Health returns the current health.
func (l *Log) Health() Health {
	l.mu.Lock()
	h := l.health
	h.OK, h.Error, h.Backlog = l.err == nil, oneLine(l.err), l.orphans
	if err := cmp.Or(l.distrusted, l.missing); err != nil {
		h.Alarm = oneLine(err)
	}
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
	// What this process wrote last must be there, whatever the database says of its own end.
	l.mu.Lock()
	newest, suspect := l.health.Head, l.suspect
	l.mu.Unlock()
	if newest.Seq > 0 {
		noted = append(slices.Clone(noted), newest)
	}
	report, err := verify(ctx, s.read, noted)
	if err == nil && suspect != nil {
		report.OK = false
		report.Problems = append(report.Problems, Problem{Kind: ProblemHead, Message: suspect.Error()})
	}
	return report, err
}

func (l *Log) notOpen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return ErrNotRunning
	}
	return fmt.Errorf("read the audit database: %w", l.err)
}
