package watcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Mode selects how changes are found.
type Mode string

// The modes.
const (
	ModeAuto   Mode = "auto"   // another name for ModeNotify
	ModeNotify Mode = "notify" // use kernel events; poll while they are unavailable
	ModePoll   Mode = "poll"   // never ask for kernel events
)

// Defaults of [Config], chosen by measurement; see docs/explanation/watching.md.
const (
	DefaultDebounce          = 20 * time.Millisecond
	DefaultMaxWait           = 500 * time.Millisecond
	DefaultPollInterval      = time.Second
	DefaultSafetyInterval    = 30 * time.Second
	DefaultFullCheckInterval = 10 * time.Minute
	DefaultMaxDirectories    = 50_000
	DefaultMaxDepth          = 64
)

// wholeFileQuiet is the debounce of a file that appeared whole: long enough for the second half of
// an editor's save to arrive, short enough to go unnoticed.
const wholeFileQuiet = 3 * time.Millisecond

// A file that a process has open for writing is not complete. It is waited for until maxWriterIdle after the last event,
// since a process may keep a file open that it does not write, and maxWriterWait at most.
const (
	maxWriterIdle = 2 * time.Second
	maxWriterWait = 30 * time.Second
)

// Config says what to watch. Zero fields mean the defaults above.
type Config struct {
	// Root is the directory, as the operator named it. It may be a symbolic link, may be missing at
	// times, and may come to mean another directory. Required.
	Root string

	// Relevant reports whether the file at a slash path relative to Root matters. If nil, every file
	// that is not hidden does. Hidden directories are never entered.
	Relevant func(rel string) bool

	// Flat leaves out the directories in Root. Links to files are followed as always.
	Flat bool

	Mode              Mode          // "" means ModeNotify
	Debounce          time.Duration // an in-place write is complete after this long without an event
	MaxWait           time.Duration // a change is handed over at the latest this long after its first event
	PollInterval      time.Duration // between scans while there are no events
	SafetyInterval    time.Duration // between scans while there are events
	FullCheckInterval time.Duration // between requests to compare contents; negative: never
	MaxDirectories    int           // directories over this number are not watched, and Health says so
	MaxDepth          int           // directories below this depth are not watched, and Health says so

	// HealthChanged is called when the Mode, State or Reason of the health has changed. It runs on
	// the watching goroutine and must not block. Optional.
	HealthChanged func(now Health)
}

// Change reports that something in the directory changed. It is a hint: its receiver reads the files
// to find out what.
type Change struct {
	Paths  []string  // slash paths relative to Root, sorted; maybe incomplete when Rescan is set
	Rescan bool      // files outside Paths may have changed
	Polled bool      // found by a scan, not by an event
	Reason string    // why Rescan is set
	At     time.Time // when the first part of the change was seen
	Open   []string  // those of Paths that a process still has open for writing, after a wait
}

// Watcher watches one directory.
//
// With ModeNotify it needs one inotify instance, and one inotify watch for each directory of the
// tree and of the way to Root. When a limit is reached (fs.inotify.max_user_instances,
// fs.inotify.max_user_watches), it polls and Health.Reason names the limit. On kqueue every file
// needs a descriptor as well.
type Watcher struct {
	cfg    Config
	open   func() (notifier, error) // nil in ModePoll
	health atomic.Pointer[Health]
}

// New returns a watcher, or an error if cfg has no Root or an unknown Mode. It watches nothing
// before Run.
func New(cfg Config) (*Watcher, error) {
	if cfg.Root == "" {
		return nil, errors.New("watcher: Config.Root is required")
	}
	root, err := filepath.Abs(cfg.Root)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", cfg.Root, err)
	}
	cfg.Root = root
	switch cfg.Mode {
	case "", ModeAuto:
		cfg.Mode = ModeNotify
	case ModeNotify, ModePoll:
	default:
		return nil, fmt.Errorf("watcher: unknown mode %q; want auto, notify or poll", cfg.Mode)
	}
	if cfg.Relevant == nil {
		cfg.Relevant = func(string) bool { return true }
	}
	cfg.Debounce = cmp.Or(cfg.Debounce, DefaultDebounce)
	cfg.MaxWait = cmp.Or(cfg.MaxWait, DefaultMaxWait)
	cfg.PollInterval = cmp.Or(cfg.PollInterval, DefaultPollInterval)
	cfg.SafetyInterval = cmp.Or(cfg.SafetyInterval, DefaultSafetyInterval)
	cfg.FullCheckInterval = cmp.Or(cfg.FullCheckInterval, DefaultFullCheckInterval)
	cfg.MaxDirectories = cmp.Or(cfg.MaxDirectories, DefaultMaxDirectories)
	cfg.MaxDepth = cmp.Or(cfg.MaxDepth, DefaultMaxDepth)
	w := &Watcher{cfg: cfg, open: openFSNotify}
	if cfg.Mode == ModePoll {
		w.open = nil
	}
	w.health.Store(&Health{State: StateStarting})
	return w, nil
}

// Health returns the current health. Safe for concurrent use.
func (w *Watcher) Health() Health { return *w.health.Load() }

// Run watches until ctx ends and sends changes to out. The first Change is a rescan, sent as soon as
// the watches are in place, so that no earlier change is missed. While nothing receives from out,
// changes merge into one and none is lost. Run is the only sender and does not close out. It returns
// nil when ctx ends. Call it once.
func (w *Watcher) Run(ctx context.Context, out chan<- Change) error {
	l := newLoop(w.cfg, w.open, w.publish)
	defer l.close()
	l.run(ctx, out)
	return nil
}

func (w *Watcher) publish(now Health) {
	before := w.health.Swap(&now)
	changed := now.Mode != before.Mode || now.State != before.State || now.Reason != before.Reason
	if changed && w.cfg.HealthChanged != nil {
		w.cfg.HealthChanged(now)
	}
}
