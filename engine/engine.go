package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/source"
)

// ErrStopped is returned when Run has ended.
var ErrStopped = errors.New("the engine has stopped")

// Config says what an Engine loads and whom it tells. Zero fields mean the defaults given.
type Config struct {
	// Source is called for every attempt and returns the directory as it is now. The engine closes it
	// after use when it is an io.Closer. Required.
	Source func() (fs.FS, error)

	// Whole says that what Source returns is complete, and no directory that somebody may be writing: then a file that is
	// missing is gone, and one that looks half-written is so.
	Whole bool

	Limits          source.Limits
	Timeout         time.Duration // bounds an attempt up to the swap; default two minutes
	Settle          time.Duration // how long a watched file may look half-written before that is a failure; default 500 ms
	RemovalWait     time.Duration // how long a data file that serves may be missing before it is gone, modules for Settle; default 2 s; negative: not at all
	Keep            Keep          // what a reload must not take away
	MaxDecisions    int           // bounds the decisions that run at once; default four for each processor, at least eight
	Tests           bool          // *_test.rego files are modules too: for those who run them, never for what serves
	DecisionTimeout time.Duration // bounds a decision whose context has no deadline; default [DecisionTimeout]
	MaxAnswerBytes  int           // bounds the JSON of one answer; default [DefaultMaxAnswerBytes]
	Checks          []Check
	Announcements   []Announcement

	// Review, if not nil, judges each candidate of the engine's own source that passed the checks, before Govern hears of
	// it. An error refuses the candidate, as that of a check does. It may take its time: what serves goes on serving, and
	// orders by [Engine.Choose] are carried out meanwhile. A candidate that nobody waits for is dropped when another
	// request comes: ctx ends, and the verdict is ignored. So one call may begin before the one before it has returned.
	Review func(ctx context.Context, s Step) (Verdict, error)

	// Govern, if not nil, is told what each attempt on the source came to, and says whether its candidate may serve; if
	// not, the attempt ends as [Held]. Run calls it, never twice at once and never while it runs the function of
	// [Engine.Choose]. It must be quick.
	Govern func(Proposal) (serve bool)

	// Verify, if not nil, has to find a signature of what may come to serve, before any of it is parsed. Loads may call it
	// at once.
	Verify Verify
	// OnVerified is told who signed what the engine's own source holds, after each attempt after which that serves,
	// whether or not anything changed. Run calls it. It must be quick. Nil: nothing is called.
	OnVerified func(Verified)

	// Elsewhere evaluates the decisions of the generations; nil: they are evaluated here. Queries, partial
	// evaluations and observed decisions always are evaluated here.
	Elsewhere Elsewhere

	NoPrograms       bool             // decide by OPA's evaluator alone
	MaxDecisionBytes int64            // that a program may use for one decision, above which OPA's evaluator makes it; default 256 MiB
	Shadow           float64          // the share of the decisions of programs that OPA's evaluator makes as well
	OnDifference     func(Difference) // is told where the two differ; nil: nothing is called

	// AwaitAbandoned is for a process that another one ends when its evaluations hang: what cannot be
	// interrupted is answered when it ends, not at its deadline.
	AwaitAbandoned bool
}

// Engine keeps one generation serving and replaces it when asked. All methods are safe for concurrent use.
type Engine struct {
	cfg      Config
	requests chan request
	choices  chan choice
	pings    chan struct{}

	asideSlot chan struct{}  // held by what is loaded besides attempts
	stopped   chan struct{}  // closed when Run has ended
	left      sync.WaitGroup // work that outlives its attempt, joined when Run ends

	current atomic.Pointer[Generation]
	formers atomic.Pointer[[]Former] // written by Run
	status  atomic.Pointer[Status]
	refused *Refused       // owned by Run: the last attempt's refusal, nil when the source is sound
	ignored source.Ignored // owned by Run: by the newest reading
	noticed source.Ignored // owned by Run: what of it was announced
	held    *Generation    // owned by Run: the candidate that was held last, nil when the pointer moved since
	judged  *Generation    // owned by Run: the candidate whose review began last, nil when the pointer moved since
	signed  Verified       // owned by Run: of the newest reading
	missing missing        // owned by Run: files of what serves that the source lacks

	limiter *eval.Limiter
	hot     *hotPaths
	asked   asked
	counts  eval.ProgramCounts

	timeout atomic.Int64 // of a decision, in nanoseconds; all generations read it
	removal atomic.Int64 // RemovalWait, in nanoseconds
}

// Adjust replaces DecisionTimeout and RemovalWait of the [Config], by their defaults where they are 0. Decisions and
// attempts under way may see either. Safe for concurrent use.
func (e *Engine) Adjust(decisionTimeout, removalWait time.Duration) {
	e.timeout.Store(int64(cmp.Or(decisionTimeout, DecisionTimeout)))
	e.removal.Store(int64(cmp.Or(removalWait, 2*time.Second)))
}

// New makes an engine that serves nothing until Run runs and Reload was called.
func New(cfg Config) (*Engine, error) {
	if cfg.Source == nil {
		return nil, errors.New("engine: Config.Source is required")
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 2*time.Minute)
	cfg.MaxAnswerBytes = cmp.Or(cfg.MaxAnswerBytes, DefaultMaxAnswerBytes)
	cfg.Settle = cmp.Or(cfg.Settle, 500*time.Millisecond)
	e := &Engine{
		cfg:      cfg,
		requests: make(chan request),
		choices:  make(chan choice),
		pings:    make(chan struct{}),

		asideSlot: make(chan struct{}, 1),
		stopped:   make(chan struct{}),
		limiter:   eval.NewLimiter(cfg.MaxDecisions),
	}
	e.Adjust(cfg.DecisionTimeout, cfg.RemovalWait)
	e.hot = newHotPaths(e.Current)
	e.status.Store(&Status{State: StateEmpty, Since: time.Now()})
	return e, nil
}

// Places is how many queries that callers wrote, or decisions of one path, an engine with this [Config].MaxDecisions
// evaluates at once.
func Places(maxDecisions int) int { return eval.NewLimiter(maxDecisions).QuotaSize() }

// Current is the generation that serves, nil before the first. Take it once for a decision and use it to the
// end: it does not change under you.
func (e *Engine) Current() *Generation { return e.current.Load() }

// Status is what serves, and how the last attempt ended.
func (e *Engine) Status() *Status { return e.status.Load() }

// Reload brings what serves up to date with the source and reports what happened. The report speaks of files
// read after Reload was called; calls that arrive while an attempt runs share the next one. An error of type
// *[Refused] means that the candidate was not good enough and what served before still serves; the report is
// complete then too. Cancelling ctx ends the wait, not the attempt. Safe for concurrent use. Blocks until
// [Engine.Run] runs.
func (e *Engine) Reload(ctx context.Context, trigger Trigger) (Report, error) {
	r := request{trigger: trigger, reply: make(chan Report, 1)}
	select {
	case e.requests <- r:
	case <-ctx.Done():
		return Report{}, fmt.Errorf("wait for the reload to begin: %w", context.Cause(ctx))
	case <-e.stopped:
		return Report{}, ErrStopped
	}
	select {
	case report := <-r.reply:
		if report.Refused != nil {
			return report, report.Refused
		}
		return report, nil
	case <-ctx.Done():
		return Report{}, fmt.Errorf("wait for the reload to end: %w", context.Cause(ctx))
	case <-e.stopped:
		return Report{}, ErrStopped
	}
}

// Ping waits until the loop of [Engine.Run] answers, which it does between two attempts, and changes nothing.
// An error means that ctx ended before, or is [ErrStopped]. Safe for concurrent use.
func (e *Engine) Ping(ctx context.Context) error {
	select {
	case e.pings <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the engine: %w", context.Cause(ctx))
	case <-e.stopped:
		return ErrStopped
	}
}
