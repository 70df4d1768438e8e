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
	Flush time.Duration // time limit of the last saves, after Run's context has ended; default ten seconds

	// Actor says who changed what a report tells of; default: the trigger's Actor.
	Actor func(engine.Report) string
}

// Keeper saves the generations that Announce hands it, in the background and at a tenth of one processor, so that
// decisions keep the rest. Each has its record in the index within moments, and its entry some time later: the newest
// first. Where more than [MaxWaiting] wait for that, those that served shortest get no entry. Safe for concurrent use.
type Keeper struct {
	cfg      KeeperConfig
	wakeNote chan struct{} // of capacity one
	wakeSave chan struct{} // of capacity one

	mu       sync.Mutex         // guards the fields below
	latest   *engine.Generation // the last that was announced
	incoming []Served           // not in the index yet, the oldest first
	noted    chan struct{}      // closed when incoming is empty
	waiting  []waiting          // in the index, without an entry yet, the oldest first
	ended    bool
	health   Health

	unwritten error // why the index on disk lacks records that it has in memory
}

// MaxWaiting is the number of generations that may wait to be saved. They stay in memory until then.
const MaxWaiting = 16

type waiting struct {
	record      Record
	g, previous *engine.Generation
	saved       bool // only its hashes are missing
}

// Health is one moment of a Keeper.
type Health struct {
	Entry      Entry     // the newest that was saved, or found saved; zero before the first
	Revision   string    // of Entry
	Generation uint64    // the number of the generation it was saved for
	Seq        uint64    // its number in the history
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
	if cfg.Actor == nil {
		cfg.Actor = func(r engine.Report) string { return r.Trigger.Actor }
	}
	noted := make(chan struct{})
	close(noted)
	return &Keeper{cfg: cfg, wakeNote: make(chan struct{}, 1), wakeSave: make(chan struct{}, 1), noted: noted}, nil
}

// Announce is the Run of an [engine.Announcement]. It only remembers which generation serves, so it returns
// at once however slow the disk is. It fails if Run has ended and the generation will not be saved: end
// Run after the engine's.
func (k *Keeper) Announce(_ context.Context, report engine.Report) error {
	g := report.Generation
	if g == nil {
		return nil
	}
	what := Served{Generation: g, Previous: report.Previous, Trigger: string(report.Trigger.Kind), Actor: k.cfg.Actor(report), Phases: report.Phases}
	if t := report.Trigger; t.Order != "" {
		what.Order = &Order{Name: t.Order, Actor: t.Actor, Reason: t.Reason}
	}
	if !report.StartedAt.IsZero() {
		what.At = report.StartedAt.Add(report.Duration)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.latest == g {
		if k.health.Err != nil {
			wake(k.wakeNote)
			wake(k.wakeSave)
		}
		return nil
	}
	if saved := &k.health; saved.Entry.Name != "" && saved.Err == nil &&
		saved.Generation == g.Number() && saved.Revision == g.Revision() {
		return nil
	}
	if k.ended {
		return fmt.Errorf("generation %d came after the history had ended", g.Number())
	}
	k.latest = g
	if len(k.incoming) == 0 {
		k.noted = make(chan struct{})
	}
	k.incoming = append(k.incoming, what)
	if extra := len(k.incoming) - maxIncoming; extra > 0 {
		k.incoming = append(k.incoming[:0], k.incoming[extra:]...)
	}
	wake(k.wakeNote)
	return nil
}

// maxIncoming bounds what is remembered while the index cannot be written at all.
const maxIncoming = 4 * MaxWaiting

// wake leaves a wake-up for a loop, which then takes all that is there.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Noted waits until all that was announced before has its record, so that [Store.Records] tells of it.
func (k *Keeper) Noted(ctx context.Context) error {
	k.mu.Lock()
	noted := k.noted
	k.mu.Unlock()
	select {
	case <-noted:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Health returns what was saved last, and what is wrong.
func (k *Keeper) Health() Health {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.health
	h.Pending = len(k.incoming) > 0
	for _, w := range k.waiting {
		h.Pending = h.Pending || !w.saved
	}
	return h
}

// Run saves what Announce hands over until ctx ends; then it saves what still waits, within Flush, and
// returns nil. After each save it rests nine times as long as that took, a minute at most. Errors are in
// Health. Call it once.
func (k *Keeper) Run(ctx context.Context) error {
	k.cfg.Store.removeAllLeftovers()
	var both sync.WaitGroup
	both.Go(func() { k.loop(ctx, k.wakeNote, k.noteAll) })
	both.Go(func() {
		k.loop(ctx, k.wakeSave, func(ctx context.Context, p *pace) {
			for begun := time.Now(); k.saveNext(ctx, p); begun = time.Now() {
				restAfter(ctx, time.Since(begun))
			}
		})
	})
	both.Wait()
	k.flush(ctx)
	return nil
}

// loop calls do when it is woken, and again after Retry while something waits.
func (k *Keeper) loop(ctx context.Context, woken <-chan struct{}, do func(context.Context, *pace)) {
	retry := time.NewTimer(k.cfg.Retry)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-woken:
		case <-retry.C:
		}
		do(ctx, &pace{begun: time.Now()})
		if h := k.Health(); h.Pending || h.Err != nil {
			retry.Reset(k.cfg.Retry)
		}
	}
}

// flush refuses further generations, so that none is accepted that will not be saved.
func (k *Keeper) flush(ctx context.Context) {
	k.mu.Lock()
	k.ended = true
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.cfg.Flush)
	defer cancel()
	k.noteAll(ctx, nil)
	for k.saveNext(ctx, nil) {
	}
	if err := k.cfg.Store.ended(time.Now()); err != nil {
		k.failed(err)
	}
}

// noteAll writes the records of what was announced. What could not be written stays, for the next attempt.
func (k *Keeper) noteAll(ctx context.Context, p *pace) {
	k.indexWritten(k.cfg.Store.mendIndex())
	for {
		k.mu.Lock()
		if len(k.incoming) == 0 {
			k.mu.Unlock()
			return
		}
		next := k.incoming[0]
		k.mu.Unlock()
		r, err := k.cfg.Store.note(ctx, next, p)
		if errors.Is(err, context.Canceled) {
			return // Run is ending, and flush tries once more
		}
		if r.Seq == 0 {
			k.failed(err)
			return
		}
		k.indexWritten(err)
		k.mu.Lock()
		if len(k.incoming) > 0 && k.incoming[0].Generation == next.Generation {
			k.incoming = k.incoming[1:]
		}
		k.waiting = append(k.waiting, waiting{r, next.Generation, next.Previous, false})
		k.thin()
		if len(k.incoming) == 0 {
			close(k.noted)
		}
		k.mu.Unlock()
		wake(k.wakeSave)
	}
}

// thin gives up the entry of the generation that served shortest, if too many wait. k.mu is held.
func (k *Keeper) thin() {
	if len(k.waiting) <= MaxWaiting {
		return
	}
	shortest, least := 0, time.Duration(-1)
	for i := range len(k.waiting) - 1 { // the newest serves
		served := k.waiting[i+1].record.ServedFrom.Sub(k.waiting[i].record.ServedFrom)
		if least < 0 || served < least {
			shortest, least = i, served
		}
	}
	k.cfg.Store.written(k.waiting[shortest].record.Seq)
	k.waiting = append(k.waiting[:shortest], k.waiting[shortest+1:]...)
}

// saveNext saves the newest of what waits. It reports whether there was one and all went well.
func (k *Keeper) saveNext(ctx context.Context, p *pace) bool {
	k.mu.Lock()
	at := len(k.waiting) - 1
	for at >= 0 && k.waiting[at].saved {
		at--
	}
	if at < 0 {
		k.mu.Unlock()
		return k.hashNext(ctx, p)
	}
	next := k.waiting[at]
	k.mu.Unlock()
	entry, err := k.cfg.Store.save(ctx, next.record, next.g, p)
	if errors.Is(err, context.Canceled) {
		return false // Run is ending, and flush tries once more
	}
	if err != nil {
		k.failed(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if entry.Name != "" && next.record.Seq >= k.health.Seq {
		k.health.Entry, k.health.Revision, k.health.Generation = entry, next.g.Revision(), next.g.Number()
		k.health.Seq, k.health.SavedAt = next.record.Seq, time.Now()
	}
	if err != nil {
		return false
	}
	k.health.Err = k.unwritten
	for i := range k.waiting {
		if k.waiting[i].record.Seq == next.record.Seq {
			k.waiting[i].saved = true
		}
	}
	return true
}

// hashNext writes what the oldest generation changed into the index, after all that wait have their entries.
func (k *Keeper) hashNext(ctx context.Context, p *pace) bool {
	k.mu.Lock()
	if len(k.waiting) == 0 {
		k.mu.Unlock()
		return false
	}
	next := k.waiting[0]
	k.mu.Unlock()
	err := k.cfg.Store.hash(ctx, next.record, next.g, next.previous, p)
	if ctx.Err() != nil {
		return false // Run is ending, or its last time is up: the next start compares more
	}
	if err != nil {
		k.indexWritten(err) // what it changed is in memory, and written with the next
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.waiting) > 0 && k.waiting[0].record.Seq == next.record.Seq {
		k.waiting = k.waiting[1:]
	}
	return true
}

// indexWritten notes how writing the index went.
func (k *Keeper) indexWritten(err error) {
	k.mu.Lock()
	mended := err == nil && k.unwritten != nil && errors.Is(k.health.Err, k.unwritten)
	k.unwritten = err
	if mended {
		k.health.Err = nil
	}
	k.mu.Unlock()
	if err != nil {
		k.failed(err)
	}
}

func (k *Keeper) failed(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.health.Err, k.health.FailedAt = err, time.Now()
	k.health.Failures++
}
