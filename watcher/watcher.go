package watcher

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Mode says how changes are found.
type Mode string

// The modes. ModeAuto and ModeNotify both use the kernel's events and poll where those cannot be
// had; ModeNotify asks that status say so even where polling is expected.
const (
	ModeAuto   Mode = "auto"
	ModeNotify Mode = "notify"
	ModePoll   Mode = "poll"
)

// Defaults of [Config]. They were chosen by measurement; docs/WATCHING.md has the numbers.
const (
	DefaultDebounce          = 20 * time.Millisecond
	DefaultMaxWait           = 500 * time.Millisecond
	DefaultPollInterval      = time.Second
	DefaultSafetyInterval    = 30 * time.Second
	DefaultFullCheckInterval = 10 * time.Minute
	DefaultMaxDirectories    = 50_000
	DefaultMaxDepth          = 64
)

// wholeFileQuiet is how long a file that appeared whole must stay quiet: long enough for the other
// half of an editor's save to arrive, short enough not to be felt.
const wholeFileQuiet = 3 * time.Millisecond

// Config says what to watch. Zero fields mean the defaults above.
type Config struct {
	// Root is the directory, as the operator named it: it may be a symbolic link, be missing for a
	// time, and come to mean another directory. Required.
	Root string

	// Relevant reports whether the file at a slash path relative to Root matters; nil: every file
	// that is not hidden does. Hidden directories are never entered.
	Relevant func(rel string) bool

	Mode              Mode          // "" is ModeAuto
	Debounce          time.Duration // an in-place write is complete after this much quiet
	MaxWait           time.Duration // a storm of changes is handed over at the latest after this
	PollInterval      time.Duration // between two scans where polling is the watch
	SafetyInterval    time.Duration // between two scans under the events
	FullCheckInterval time.Duration // between two requests to compare contents; negative: never
	MaxDirectories    int           // the rest is not watched, and Health says so
	MaxDepth          int           // the same

	// HealthChanged is called when the Mode, State or Reason of the health has changed. It runs on
	// the watching goroutine and must not block. Optional.
	HealthChanged func(now Health)
}

// Change says that something in the directory is different now. It is a hint: what is different is
// for the reader of the files to find.
type Change struct {
	Paths  []string  // slash paths relative to Root, sorted; may be incomplete when Rescan is set
	Rescan bool      // more than Paths may be different
	Polled bool      // found by comparing stats, not by an event
	Reason string    // why Rescan is set
	At     time.Time // when the first part of the change was seen
}

// Watcher watches one directory.
type Watcher struct {
	cfg    Config
	open   func() (notifier, error) // nil: poll only
	health atomic.Pointer[Health]
}

// New checks the configuration. Nothing is watched before Run.
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
	case "":
		cfg.Mode = ModeAuto
	case ModeAuto, ModeNotify, ModePoll:
	default:
		return nil, fmt.Errorf("watcher: mode is %q; auto, notify or poll was expected", cfg.Mode)
	}
	if cfg.Relevant == nil {
		cfg.Relevant = func(string) bool { return true }
	}
	setDefault(&cfg.Debounce, DefaultDebounce)
	setDefault(&cfg.MaxWait, DefaultMaxWait)
	setDefault(&cfg.PollInterval, DefaultPollInterval)
	setDefault(&cfg.SafetyInterval, DefaultSafetyInterval)
	setDefault(&cfg.FullCheckInterval, DefaultFullCheckInterval)
	setDefault(&cfg.MaxDirectories, DefaultMaxDirectories)
	setDefault(&cfg.MaxDepth, DefaultMaxDepth)
	w := &Watcher{cfg: cfg, open: openFSNotify}
	if cfg.Mode == ModePoll {
		w.open = nil
	}
	w.health.Store(&Health{State: StateStarting})
	return w, nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Health tells how the watch is. Safe for concurrent use.
func (w *Watcher) Health() Health { return *w.health.Load() }

// Run watches until ctx ends and sends what it sees to out. The first Change is a rescan, sent as
// soon as the watch is set, so that nothing that happened before is missed. While out is not read,
// changes merge into one; none is lost. Run is the only sender and does not close out. It returns
// nil when ctx ends. Call it once.
func (w *Watcher) Run(ctx context.Context, out chan<- Change) error {
	l := newLoop(w.cfg, w.open, w.publish)
	defer l.close()
	l.run(ctx, out)
	return nil
}

func (w *Watcher) publish(now Health) {
	before := w.health.Swap(&now)
	if w.cfg.HealthChanged != nil && (now.Mode != before.Mode || now.State != before.State || now.Reason != before.Reason) {
		w.cfg.HealthChanged(now)
	}
}
