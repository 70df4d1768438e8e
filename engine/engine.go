package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/source"
)

// ErrStopped is returned by Reload when Run has ended.
var ErrStopped = errors.New("the engine has stopped")

// Config says what an Engine loads and whom it tells. Zero fields mean the defaults given.
type Config struct {
	// Source is called for every attempt and gives the directory as it is now. It is closed after
	// use when it is an io.Closer. Required.
	Source func() (fs.FS, error)

	Limits          source.Limits
	Timeout         time.Duration // bounds an attempt up to the swap; default two minutes
	Settle          time.Duration // how long a watched file may look half-written before that is a failure; default 500 ms
	MostDecisions   int           // bounds the decisions that are made at once; default four for each processor, and eight at least
	Tests           bool          // *_test.rego files are modules too: for those who run them, never for what serves
	DecisionTimeout time.Duration // bounds a decision whose context has no deadline; default [DecisionTimeout]
	Checks          []Check
	Announcements   []Announcement
}

// Engine keeps one generation serving and replaces it when asked. All methods may be called from
// several goroutines.
type Engine struct {
	cfg      Config
	requests chan request
	pings    chan struct{}
	stopped  chan struct{} // closed when Run has ended
	left     sync.WaitGroup

	current atomic.Pointer[Generation]
	status  atomic.Pointer[EngineStatus]
	often   chan often
	limiter *limiter
	refused *Refused // owned by Run: the last attempt's refusal, nil when the source is sound
}

// State is how what serves relates to the source.
type State string

// The states.
const (
	StateEmpty    State = "empty"    // nothing serves yet
	StateCurrent  State = "current"  // what serves is what the source held when last read
	StateStale    State = "stale"    // the source is broken; the last good generation serves
	StateRestored State = "restored" // the source is broken; the last good generation of an earlier run serves
)

// EngineStatus is one moment of an Engine. Not to be changed.
type EngineStatus struct {
	State      State
	Generation *Generation // nil when nothing serves
	Refused    *Refused    // what is wrong with the source, nil when nothing is
	Last       Report      // of the newest attempt that had something to say; zero before the first
	Since      time.Time   // when State came to be
}

// New makes an engine that serves nothing until Run runs and Reload was called.
func New(cfg Config) (*Engine, error) {
	if cfg.Source == nil {
		return nil, errors.New("engine: Config.Source is required")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Minute
	}
	if cfg.Settle == 0 {
		cfg.Settle = 500 * time.Millisecond
	}
	e := &Engine{cfg: cfg, often: make(chan often, mostOften), limiter: newLimiter(cfg.MostDecisions), requests: make(chan request), pings: make(chan struct{}), stopped: make(chan struct{})}
	e.status.Store(&EngineStatus{State: StateEmpty, Since: time.Now()})
	return e, nil
}

// Current is the generation that serves, nil before the first. Take it once for a decision and use
// it to the end: it does not change under you.
func (e *Engine) Current() *Generation { return e.current.Load() }

// Status tells what serves and how the last attempt ended.
func (e *Engine) Status() *EngineStatus { return e.status.Load() }

// Reload brings what serves up to date with the source and reports what happened.
// The report speaks of files read after Reload was called; calls that arrive while an attempt
// runs share the next one. An error of type *[Refused] means that the candidate was not good
// enough and what served before still serves; the report is complete then too. Cancelling ctx ends
// the wait, not the attempt. Safe for concurrent use. Blocks until [Engine.Run] runs.
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

// attempt is files → generation → checked → one pointer moves → everyone who cares is told.
func (e *Engine) attempt(ctx context.Context, trigger Trigger) Report {
	var watch stopwatch
	report := Report{Trigger: trigger, StartedAt: time.Now(), Previous: e.Current()}

	candidate, err := e.candidate(ctx, trigger, &watch)
	report.Healed = err == nil && e.refused != nil
	switch {
	case err != nil:
		report.Status, report.Refused = StatusFailed, asRefused(err, e.cfg.Timeout)
	case candidate == report.Previous:
		report.Status = StatusUnchanged
	default:
		watch.begin(phaseSwap)
		candidate.loadedAt, candidate.timeout, candidate.often = time.Now(), e.cfg.DecisionTimeout, e.askedOften
		candidate.limiter = e.limiter
		e.current.Store(candidate)
		report.Status = StatusSuccess
	}
	watch.end()
	report.Phases, report.Generation = watch.phases, e.Current()
	report.Duration = time.Since(report.StartedAt)
	return report
}

// conclude remembers how an attempt ended and announces it when there is something to say.
func (e *Engine) conclude(ctx context.Context, report *Report) {
	repeated := report.Refused != nil && report.Refused.same(e.refused)
	quiet := repeated || report.Status == StatusUnchanged && !report.Healed
	if report.Trigger.Source == nil { // a restored generation says nothing about the engine's own source
		e.refused = report.Refused
	}
	if !quiet || report.Trigger.Kind.explicit() {
		e.setStatus(report)
		e.announce(ctx, report)
		report.Duration = time.Since(report.StartedAt)
		e.setStatus(report)
	} else if report.Status == StatusUnchanged && len(report.Trigger.Paths) > 0 {
		e.setStatus(report)
	}
}

func (e *Engine) setStatus(report *Report) {
	before := e.Status()
	now := EngineStatus{State: StateCurrent, Generation: report.Generation, Refused: e.refused, Last: *report}
	switch {
	case report.Generation == nil:
		now.State = StateEmpty
	case report.Trigger.Source != nil && report.Refused == nil:
		now.State = StateRestored
	case report.Refused != nil && before.State == StateRestored:
		now.State = StateRestored
	case report.Refused != nil:
		now.State = StateStale
	}
	now.Since = before.Since
	if now.State != before.State {
		now.Since = time.Now()
	}
	e.status.Store(&now)
}

// candidate loads and checks. It returns what serves already when the source holds just that. It
// does not wait past the attempt's deadline for work that cannot be interrupted; such work is
// joined when Run ends.
func (e *Engine) candidate(ctx context.Context, trigger Trigger, watch *stopwatch) (*Generation, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	type loaded struct {
		g      *Generation
		err    error
		phases []Phase
	}
	done := make(chan loaded, 1)
	lastRefusal := e.refused
	if trigger.Kind.explicit() || lastRefusal != nil && lastRefusal.Stage == StageDeadline {
		lastRefusal = nil // worth another try
	}
	previous := e.Current()
	if previous != nil { // somebody decides meanwhile
		ctx = turns.With(ctx)
	}
	e.left.Go(func() {
		defer cancel()
		var own stopwatch
		g, err := e.loadAndCheck(ctx, trigger, &loader{
			options:     source.Options{Limits: e.cfg.Limits, Tests: e.cfg.Tests, Earlier: earlier(trigger, previous)},
			lastRefusal: lastRefusal,
			begin:       own.begin,
		}, previous)
		own.end()
		done <- loaded{g, err, own.phases}
	})
	select {
	case l := <-done:
		watch.phases = l.phases
		return l.g, l.err
	case <-ctx.Done():
		select {
		case l := <-done:
			watch.phases = l.phases
			return l.g, l.err
		default:
			return nil, ctx.Err()
		}
	}
}

func (e *Engine) loadAndCheck(ctx context.Context, trigger Trigger, l *loader, previous *Generation) (_ *Generation, err error) {
	defer contain.Panic("load the policy", &err)
	src := trigger.Source
	if src == nil {
		if src, err = e.cfg.Source(); err != nil {
			return nil, &Refused{Stage: StageRead, Err: err}
		}
	}
	if closer, ok := src.(io.Closer); ok {
		defer closer.Close() //nolint:errcheck // it was only read
	}
	candidate, err := l.load(ctx, src, previous)
	if err != nil || candidate == previous {
		return candidate, err
	}
	l.phase(phaseCheck)
	for _, check := range e.cfg.Checks {
		if err := check.run(ctx, candidate, previous); err != nil {
			refused := &Refused{Stage: StageCheck, Err: err, revision: candidate.revision}
			if own := new(Refused); errors.As(err, &own) {
				refused.Diagnostics = own.Diagnostics
			}
			return nil, refused
		}
	}
	return candidate, nil
}

// asRefused gives every way to fail the one type that callers know.
func asRefused(err error, timeout time.Duration) *Refused {
	var refused *Refused
	var crash *contain.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &crash):
		return &Refused{Stage: StagePanic, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Refused{Stage: StageDeadline, Err: fmt.Errorf("the reload took longer than %s: %w", timeout, err)}
	default:
		return &Refused{Stage: StageRead, Err: err}
	}
}
