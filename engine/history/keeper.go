package history

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"defenseclaw/engine"
)

// KeeperConfig says what a Keeper saves to. Zero fields mean the defaults given.
type KeeperConfig struct {
	Store *Store        // Required.
	Retry time.Duration // how long after a failure the next attempt is made; default one minute
	Flush time.Duration // bounds the last save, when Run is ended; default ten seconds
}

// Keeper saves the generations that it is told of, away from the reload that tells and slowly, so that it
// leaves the processors to decisions: only the newest that waits is saved. Safe for concurrent use.
type Keeper struct {
	cfg  KeeperConfig
	wake chan struct{} // holds one

	mu      sync.Mutex // guards the fields below
	pending *engine.Generation
	ended   bool
	health  Health
}

// Health is one moment of a Keeper.
type Health struct {
	Entry      Entry     // the newest that was saved, or found saved; zero before the first
	Revision   string    // of Entry
	Generation uint64    // the number of the generation it was saved for
	SavedAt    time.Time // when that was
	Pending    bool      // a generation is to be saved
	Err        error     // why the last attempt failed; nil when it did not
	FailedAt   time.Time // of the last failure, whether or not Err is still set
	Failures   int       // since the start
}

// NewKeeper makes a keeper that does nothing until Run runs.
func NewKeeper(cfg KeeperConfig) (*Keeper, error) {
	if cfg.Store == nil {
		return nil, errors.New("history: KeeperConfig.Store is required")
	}
	if cfg.Retry == 0 {
		cfg.Retry = time.Minute
	}
	if cfg.Flush == 0 {
		cfg.Flush = 10 * time.Second
	}
	return &Keeper{cfg: cfg, wake: make(chan struct{}, 1)}, nil
}

// Announce is the Run of an [engine.Announcement]. It only notes which generation serves, in no
// time whatever the disk does. The error says that Run has ended, so that nobody will save it: end
// Run after the engine's.
func (k *Keeper) Announce(_ context.Context, report engine.Report) error {
	g := report.Generation
	if g == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if saved := &k.health; saved.Entry.Name != "" && saved.Err == nil && saved.Generation == g.Number() && saved.Revision == g.Revision() {
		return nil
	}
	if k.ended {
		return fmt.Errorf("generation %d came after the history had ended", g.Number())
	}
	k.pending = g
	select {
	case k.wake <- struct{}{}:
	default: // Run knows already that there is something
	}
	return nil
}

// Health tells what was saved last, and what is wrong.
func (k *Keeper) Health() Health {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.health
	h.Pending = k.pending != nil
	return h
}

// Run saves until ctx ends; then it saves what is still to be saved, within Flush, and returns nil.
// It saves at once, unless it saved shortly before: then it waits nine times as long as that took, a minute at
// most. What goes wrong is told by Health. Call it once.
func (k *Keeper) Run(ctx context.Context) error {
	k.cfg.Store.tidy()
	retry := time.NewTimer(k.cfg.Retry)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			k.last(ctx)
			return nil
		case <-k.wake:
		case <-retry.C:
		}
		begun := time.Now()
		k.savePending(ctx, &pace{begun: begun})
		if k.Health().Pending {
			retry.Reset(k.cfg.Retry)
		}
		restAfter(ctx, time.Since(begun))
	}
}

// last takes no more generations: who comes later is told so.
func (k *Keeper) last(ctx context.Context) {
	k.mu.Lock()
	k.ended = true
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.cfg.Flush)
	defer cancel()
	k.savePending(ctx, nil)
}

// savePending leaves pending what could not be saved.
func (k *Keeper) savePending(ctx context.Context, p *pace) {
	k.mu.Lock()
	g := k.pending
	k.mu.Unlock()
	if g == nil {
		return
	}
	entry, err := k.cfg.Store.keep(ctx, g, p)
	if errors.Is(err, context.Canceled) {
		return // by the end of Run, which will try once more
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if entry.Name != "" {
		k.health.Entry, k.health.Revision, k.health.Generation, k.health.SavedAt = entry, g.Revision(), g.Number(), time.Now()
	}
	k.health.Err = err
	if err != nil {
		k.health.FailedAt = time.Now()
		k.health.Failures++
		return
	}
	if k.pending == g {
		k.pending = nil
	}
}
