package reviewer

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"

	"defenseclaw/worker/child"
)

// Config says how reviews are made. Zero fields mean the defaults given.
type Config struct {
	Steps       []Step        // that there are, in their order
	Off         bool          // there is no process: steps that are small enough are made in this one
	MemoryBytes int64         // of the process; default: no bound
	Idle        time.Duration // after which the process ends; default five minutes

	// Ended is called when the process ended and nobody wanted it to, or could not be started. nil: not called.
	Ended func(Ended)
}

// Ended is how a process ended.
type Ended struct {
	Reason string // for people
	During string // the step, or "load"; empty: none
	Ends   int    // of processes by this step of this change, within five minutes
}

// Health is how the process is, and counts since the start.
type Health struct {
	Up       bool   // it runs
	PID      int    // of the process; 0: there is none
	Restarts uint64 // starts after an end that nobody wanted
	Failure  string // how the last process ended, if nobody wanted that and none was started since; else empty

	Fault   Ended     // how one ended last that nobody wanted to end
	FaultAt time.Time // zero: none did
}

// Reviewer reviews changes. All methods are safe for concurrent use.
type Reviewer struct {
	cfg      Config
	suspects child.Suspects[suspect]
	turn     chan struct{} // holds a value while a review is made

	failedLast []string // names of tests; of the review that is made

	mu      sync.Mutex // guards the fields below
	process *process   // nil: none
	wanted  bool
	stopped bool          // Run has ended
	used    time.Time     // when a review last ended
	busy    bool          // a review has the process
	failure string        // see Health
	changed chan struct{} // closed and replaced when one of the fields above changes
	crashed bool          // the last process ended and nobody wanted that
	health  Health
}

// suspect is what may end a process: a step of a change.
type suspect struct{ base, candidate, step string }

// New makes a reviewer, which starts no process until Run runs.
func New(cfg Config) *Reviewer {
	cfg.Idle = cmp.Or(cfg.Idle, 5*time.Minute) //nolint:mnd // the default
	if cfg.Ended == nil {
		cfg.Ended = func(Ended) {}
	}
	return &Reviewer{
		cfg: cfg, suspects: child.NewSuspects[suspect](), turn: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// Health is how the process is.
func (r *Reviewer) Health() Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.health
	h.Failure = r.failure
	if r.process != nil {
		h.Up, h.PID = true, r.process.PID()
	}
	return h
}

// process is a running reviewer.
type process struct {
	*child.Process
	accounted chan struct{} // closed when it has ended, and reason and culprit are set
	reason    string        // of the end, for people
	culprit   suspect       // what it was doing then; empty: nothing

	given  []given // what it holds; of the review that has it
	lastID uint64  // of those that were given, so too

	records holdsRecords // so too

	doing  suspect // guarded by the reviewer's mu; empty: nothing
	useful bool    // it has answered something; guarded so too
}

// given is content that a process was given.
type given struct {
	id   uint64
	kind string
	child.Content
}

// A process that was of no use is followed by another after a pause, which doubles from the shortest to the longest.
const minPause, maxPause = 100 * time.Millisecond, 10 * time.Second

// Run keeps a process while one is wanted, until ctx ends, and then ends it. Call it once.
func (r *Reviewer) Run(ctx context.Context) error {
	// On Linux, a process is killed when the thread ends that started it: this one does not before it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer r.stop()
	pause := time.Duration(0)
	for r.awaitWanted(ctx) {
		if r.keep(ctx) {
			pause = 0
			continue
		}
		pause = min(max(minPause, 2*pause), maxPause)
		if !sleep(ctx, pause) {
			break
		}
	}
	return nil
}

func (r *Reviewer) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	r.broadcast()
}

// broadcast wakes those that wait for a change. mu is held.
func (r *Reviewer) broadcast() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// awaitWanted waits until a process is wanted. It reports false when ctx ends.
func (r *Reviewer) awaitWanted(ctx context.Context) bool {
	for {
		r.mu.Lock()
		wanted, changed := r.wanted, r.changed
		r.mu.Unlock()
		if ctx.Err() != nil {
			return false
		}
		if wanted {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// keep starts a process, and ends it when it was idle. It reports false if it could not be started, or ended without
// having been of use.
func (r *Reviewer) keep(ctx context.Context) bool {
	started, err := child.Start(ctx, child.Config{Args: []string{command, strconv.FormatInt(r.cfg.MemoryBytes, 10)}, Background: true})
	if err != nil {
		r.fail(fmt.Sprintf("the reviewer could not be started: %v", err), nil)
		return false
	}
	p := &process{Process: started, accounted: make(chan struct{})}
	r.mu.Lock()
	r.process, r.failure, r.used = p, "", time.Now()
	if r.crashed {
		r.health.Restarts++
		r.crashed = false
	}
	r.broadcast()
	r.mu.Unlock()

	idle, ended := make(chan bool, 1), make(chan struct{})
	go func() { idle <- r.endIdle(ctx, p, ended) }()
	how, detail := p.Wait()
	close(ended)
	expected := <-idle || ctx.Err() != nil
	p.reason = reasonOf(how, detail, r.cfg.MemoryBytes)
	if expected {
		p.reason = "the reviewer was ended"
	}
	r.mu.Lock()
	p.culprit = p.doing
	useful := p.useful || expected
	if r.process == p {
		r.process = nil
		r.broadcast()
	}
	r.mu.Unlock()
	if !expected {
		r.fail(p.reason, p)
	}
	close(p.accounted)
	return useful
}

// endIdle ends a process that nobody has used for a while, and reports whether it did.
func (r *Reviewer) endIdle(ctx context.Context, p *process, ended <-chan struct{}) bool {
	tick := time.NewTicker(max(r.cfg.Idle/4, time.Millisecond)) //nolint:mnd // so that it lives at most a quarter longer
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return false
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		r.mu.Lock()
		idle := !r.busy && time.Since(r.used) >= r.cfg.Idle
		if idle {
			r.process, r.wanted = nil, false // no review gets it any more
			r.broadcast()
		}
		r.mu.Unlock()
		if idle {
			p.Kill()
			return true
		}
	}
}

// fail has those that wait for a process know that there is none, and reports its end. p is nil if it was not started.
func (r *Reviewer) fail(reason string, p *process) {
	e := Ended{Reason: reason}
	r.mu.Lock()
	r.process, r.wanted, r.failure, r.crashed = nil, false, reason, true
	r.broadcast()
	r.mu.Unlock()
	if p != nil && p.culprit != (suspect{}) {
		e.During, e.Ends = p.culprit.step, r.suspects.Add(p.culprit)
	}
	r.mu.Lock()
	r.health.Fault, r.health.FaultAt = e, time.Now()
	r.mu.Unlock()
	r.cfg.Ended(e)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
