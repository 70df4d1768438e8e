// Package recorder keeps few of the decisions that are made, which stand for all of them, so that a change of the policy can
// be tried on them: see package records.
//
// On a decision's way there are one hash of its path and result and one counter: [Recorder.Begin], [Pending.End]. The first
// eight of each path and result are taken, then one of the next eight, one of the next 16, and so on to one in 1,024. What is
// taken waits in a queue, and is dropped and counted if that is full: no decision waits. [Recorder.Run] does the rest, at
// most 2 % of a processor's time: it finds which clauses held and what the input looks like, and takes out what the decision
// log would not show.
package recorder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/review/records"

	"go.uber.org/zap"
)

// Config configures [New]. Clean is required; zero fields mean the defaults given.
type Config struct {
	// Clean returns a record without what must not leave the decision, by the masks of a generation. dropped says that the
	// policy wants none; with an error, it is not kept either, for the reason. Safe for concurrent use.
	Clean func(ctx context.Context, g *engine.Generation, r records.Record) (_ records.Record, reason string, err error)
	// Masks reports whether a generation has policies that Clean asks. Nil: they all have.
	Masks func(g *engine.Generation) bool
	// Current is the generation that serves: what leaves the memory is clean by its masks, too. Nil: there is none.
	Current func() *engine.Generation

	Bounds records.Bounds // of what is kept
	Paths  []engine.Path  // the documents at these and below them are recorded; nil: all
	Dir    string         // where the records are kept over restarts; empty: in memory only
	Key    []byte         // of 32 bytes: the file is sealed by AES-256-GCM; nil: it is not
	// Unobserved says that decisions are evaluated in other processes, for the safety of this one: none is evaluated here
	// again, and no branch is known.
	Unobserved bool

	SaveEvery time.Duration // default 5 minutes
	Share     float64       // of a processor's time, default 0.02
	Logger    *zap.Logger   // nil: nothing is logged
}

// The reasons why a decision that was taken is not kept: the keys of [Health.Dropped].
const (
	DroppedPolicy    = "policy"      // system.log.drop or system.record.drop: intended, not a loss
	DroppedQueue     = "queue"       // too many waited
	DroppedTooLarge  = "too_large"   // it is larger than a 32nd of the bound
	DroppedUndefined = "undefined"   // nothing in the policy could define its path
	DroppedDrop      = "drop_policy" // a drop policy could not be evaluated
	DroppedMask      = "mask_policy" // the mask policy could not be evaluated
	DroppedEncoding  = "encoding"    // it could not be written as JSON
	DroppedShutdown  = "shutdown"    // it waited when the sidecar stopped
	DroppedDisk      = "disk"        // it could not be saved: it is in memory, and a restart loses it
)

// Reasons lists them.
func Reasons() []string {
	return []string{
		DroppedPolicy, DroppedQueue, DroppedTooLarge, DroppedUndefined, DroppedDrop, DroppedMask, DroppedEncoding, DroppedShutdown, DroppedDisk,
	}
}

// Limits without a setting.
const (
	saveEvery    = 5 * time.Minute
	share        = 0.02
	maxQueued    = 1024
	maxCredit    = 200 * time.Millisecond // of time that was not used
	drainTimeout = time.Second            // for what waits when Run ends
)

// Recorder records the decisions of one sidecar. A nil *Recorder records none. All methods are safe for concurrent use.
type Recorder struct {
	cfg    Config
	tally  atomic.Pointer[tally]
	queue  chan *taken
	queued atomic.Int64 // estimated bytes of what waits
	epoch  atomic.Uint64

	file *file // nil: in memory only

	cleaning chan struct{} // of one place, for who cleans what is held: it may take seconds

	mu      sync.Mutex // guards what follows; nothing is evaluated while it is held
	store   *records.Store
	cleaned string // the revision by whose masks what is held was last cleaned, or is being cleaned; empty: none
	clean   bool   // all that is held is clean by them
	read    bool   // some was read from the file since: it is clean by the masks and settings of another time
	others  int    // how often something came that may not be clean by them: from the file, or while another revision served

	health healthCounts
}

// New makes a recorder. Nothing is read or kept before [Recorder.Run].
func New(cfg Config) (*Recorder, error) {
	cfg.SaveEvery, cfg.Share = cmp.Or(cfg.SaveEvery, saveEvery), cmp.Or(cfg.Share, share)
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop())
	cfg.Bounds.Bytes, cfg.Bounds.Records = cmp.Or(cfg.Bounds.Bytes, records.DefaultBytes), cmp.Or(cfg.Bounds.Records, records.DefaultRecords)
	if cfg.Clean == nil {
		return nil, errors.New("recorder: Clean of the Config is required")
	}
	if cfg.Key != nil && (len(cfg.Key) != keyBytes || cfg.Dir == "") {
		return nil, fmt.Errorf("recorder: a key has %d bytes and needs a directory", keyBytes)
	}
	r := &Recorder{cfg: cfg, queue: make(chan *taken, maxQueued), cleaning: make(chan struct{}, 1), store: records.NewStore(cfg.Bounds, nil)}
	r.tally.Store(newTally())
	if cfg.Dir != "" {
		r.file = &file{path: filepath.Join(cfg.Dir, FileName), key: cfg.Key}
	}
	return r, nil
}

// taken is a decision on its way to the store. It belongs to the recorder.
type taken struct {
	p      Pending
	result any // of [decision.Answer]; or its text
	failed error
	weight float64
	epoch  uint64
	size   int64
}

// Pending is a decision that is being made. The zero value is not recorded.
type Pending struct {
	r          *Recorder
	generation *engine.Generation
	id         string
	path       engine.Path
	input      *engine.Input
	at         time.Time
	lenient    bool
}

// Begin begins a decision that g makes at a time. It allocates nothing.
func (r *Recorder) Begin(g *engine.Generation, q decision.Question, at time.Time) Pending {
	if r == nil || q.Query != nil || q.Text != "" || q.Untold || !r.wants(q.Path) {
		return Pending{}
	}
	return Pending{r, g, q.ID, q.Path, q.Input, at, q.Lenient}
}

func (r *Recorder) wants(path engine.Path) bool {
	if r.cfg.Paths == nil {
		return true
	}
	for _, wanted := range r.cfg.Paths {
		if len(path) >= len(wanted) && equal(path[:len(wanted)], wanted) {
			return true
		}
	}
	return false
}

func equal(a, b engine.Path) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// End takes the answer, or counts it. It allocates only if it takes it.
func (p Pending) End(a decision.Answer) {
	if p.r == nil || a.Err != nil && saysNothing(a.Err) {
		return
	}
	if a.Err == nil && a.Defined && a.Result == nil && a.Text == nil {
		return // the answer was too long to be told
	}
	path, kind := p.hashes(a)
	if weight := p.r.tally.Load().count(path, kind, a.Defined || a.Err != nil); weight > 0 {
		p.r.take(p, a, float64(weight))
	}
}

// saysNothing reports whether an error is of the load, the caller or the path, and not of policy and input.
func saysNothing(err error) bool {
	_, unavailable := engine.RetryAfter(err)
	return unavailable || errors.Is(err, engine.ErrDecisionTimeout) || errors.Is(err, engine.ErrPath) || errors.Is(err, engine.ErrPathTypes) || errors.Is(err, context.Canceled)
}

func (r *Recorder) take(p Pending, a decision.Answer, weight float64) {
	limit := r.cfg.Bounds.MaxRecordBytes()
	t := &taken{p: p, failed: a.Err, weight: weight, epoch: r.epoch.Load(), size: int64(takenBytes + p.input.CompactBytes(limit) + len(a.Text))}
	if t.size > int64(limit) {
		r.drop(DroppedTooLarge, 1)
		return
	}
	switch {
	case a.Err != nil:
	case a.Text != nil:
		t.result = append(resultText(nil), a.Text...) // the caller's buffer
	case a.Defined:
		t.result = a.Result
	}
	if r.queued.Add(t.size) <= int64(r.cfg.Bounds.Bytes)/4 {
		select {
		case r.queue <- t:
			return
		default:
		}
	}
	r.queued.Add(-t.size)
	r.drop(DroppedQueue, 1)
}

// takenBytes is what waiting takes beside texts.
const takenBytes = 512

// resultText is the text of a result. It is not nil.
type resultText []byte

// Health is what a recorder holds and has dropped since the start.
type Health struct {
	Records int
	Strata  int
	Bytes   int
	Dropped map[string]uint64 // by reason
	SavedAt time.Time         // zero: not yet, or in memory only
	Err     error             // why the last save failed; nil: it did not
	// Damaged says what became of a file that could not be read, until everything is cleared: what was recorded in earlier
	// runs is missing. Empty: nothing is.
	Damaged string
}

type healthCounts struct {
	mu  sync.Mutex
	now Health
}

func (r *Recorder) drop(reason string, n int) {
	r.health.mu.Lock()
	defer r.health.mu.Unlock()
	if r.health.now.Dropped == nil {
		r.health.now.Dropped = map[string]uint64{}
	}
	r.health.now.Dropped[reason] += uint64(n)
}

// holds notes what the store holds. The lock of the store is held.
func (r *Recorder) holds() {
	count, strata, bytes := r.store.Len()
	r.health.mu.Lock()
	defer r.health.mu.Unlock()
	r.health.now.Records, r.health.now.Strata, r.health.now.Bytes = count, strata, bytes
}

// Health never waits.
func (r *Recorder) Health() Health {
	r.health.mu.Lock()
	defer r.health.mu.Unlock()
	h := r.health.now
	h.Dropped = maps.Clone(h.Dropped)
	return h
}

// Bounds are those of what is kept.
func (r *Recorder) Bounds() records.Bounds { return r.cfg.Bounds }

// Dir is where the records are kept over restarts; empty: in memory only.
func (r *Recorder) Dir() string { return r.cfg.Dir }

// Sealed reports whether the file is encrypted.
func (r *Recorder) Sealed() bool { return r.cfg.Key != nil }
