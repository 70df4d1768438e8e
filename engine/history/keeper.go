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
	Retry time.Duration // time from a failure to the next attempt; default one minute
	Flush time.Duration // time limit of the last save, after Run's context has ended; default ten seconds
}

// Keeper saves the generations that Announce hands it, in the background and at a tenth of one processor,
// so that decisions keep the rest. If several wait, it saves the newest only. Safe for concurrent use.
type Keeper struct {
	cfg  KeeperConfig
	wake chan struct{} // of capacity one

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
	Pending    bool      // a generation waits to be saved
	Err        error     // why the last attempt failed; nil if it did not
	FailedAt   time.Time // of the last failure, whether or not Err is still set
	Failures   int       // since the start
}

// NewKeeper makes a keeper. It saves nothing until Run is called.
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

// Announce is the Run of an [engine.Announcement]. It only notes which generation serves, so it returns
// at once however slow the disk is. It fails if Run has ended and the generation will not be saved: end
// Run after the engine's.
func (k *Keeper) Announce(_ context.Context, report engine.Report) error {
	g := report.Generation
	if g == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if saved := &k.health; saved.Entry.Name != "" && saved.Err == nil &&
		saved.Generation == g.Number() && saved.Revision == g.Revision() {
		return nil
	}
	if k.ended {
		return fmt.Errorf("generation %d came after the history had ended", g.Number())
	}
	k.pending = g
	select {
	case k.wake <- struct{}{}:
	default: // Run has a wake-up waiting, and will save the newest
	}
	return nil
}

// Health returns what was saved last, and what is wrong.
func (k *Keeper) Health() Health {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.health
	h.Pending = k.pending != nil
	return h
}

// Run saves what Announce notes until ctx ends; then it saves what is still pending, within Flush, and
// returns nil. After each save it rests nine times as long as that took, a minute at most. Errors are in
// Health. Call it once.
func (k *Keeper) Run(ctx context.Context) error {
	k.cfg.Store.lockAndRemoveLeftovers()
	retry := time.NewTimer(k.cfg.Retry)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			k.flush(ctx)
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

// flush refuses further generations, so that none is accepted that will not be saved.
func (k *Keeper) flush(ctx context.Context) {
	k.mu.Lock()
	k.ended = true
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.cfg.Flush)
	defer cancel()
	k.savePending(ctx, nil)
}

// savePending leaves a generation that could not be saved pending, for the next attempt.
func (k *Keeper) savePending(ctx context.Context, p *pace) {
	k.mu.Lock()
	g := k.pending
	k.mu.Unlock()
	if g == nil {
		return
	}
	entry, err := k.cfg.Store.keep(ctx, g, p)
	if errors.Is(err, context.Canceled) {
		return // Run is ending, and flush tries once more
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
