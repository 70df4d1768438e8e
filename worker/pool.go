package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"defenseclaw/engine"
	"defenseclaw/worker/child"
)

// errEnded and the other reasons of an [engine.Unavailable] of this package, but [ErrRefused].
var (
	errEnded    = errors.New("the process that evaluated this ended before it answered; another one takes over")
	errNotReady = errors.New("no process is ready to evaluate this yet")
	errStopped  = errors.New("the sidecar stops")
)

const (
	// seats is the number of processes: one evaluates, the other is its spare.
	seats = 2
	// hangGrace is how long after its deadline an evaluation counts as hanging. It covers what OPA and the
	// collector do between two looks at the deadline, on a busy machine.
	hangGrace = time.Second
)

// Config says how a Pool evaluates.
type Config struct {
	// Current is the generation that serves; nil while none does. A new process loads it before it evaluates.
	// Required.
	Current func() *engine.Generation

	Timeout     time.Duration // of an evaluation without a deadline; 0: the engine's default
	Decisions   int           // evaluations at once in one process; 0: the engine's default
	AnswerBytes int           // of one document; 0: any number
	MemoryBytes int64         // of one process, as far as the platform can bound it; 0: no bound
	NoPrograms  bool          // OPA's evaluator decides alone, as [engine.Config] has it
	// DecisionBytes are for what a program makes in one decision, as MaxDecisionBytes of [engine.Config].
	DecisionBytes int64
	Idle          time.Duration // processes that evaluated nothing for this long are ended; 0: they start at once, and stay

	// Ended is called when a process ended and is replaced, but not when it was idle or the sidecar stops. nil:
	// not called.
	Ended func(Ended)
}

// Ended is how a process ended.
type Ended struct {
	Reason Reason
	Detail string  // how the operating system, or Go, put it
	Inputs []Input // that it was evaluating
}

// Input names what was asked, without saying what it was.
type Input struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // of the input
	Ends   int    `json:"ends"`   // processes that it ended, or was in when they ended, within five minutes
}

// Reason is why a process ended.
type Reason string

// The reasons.
const (
	Died    Reason = "died"    // a fatal error of Go's, such as a stack overflow or lack of memory
	Killed  Reason = "killed"  // by a signal
	Hung    Reason = "hung"    // as many evaluations as it has places were past their deadline
	Unready Reason = "unready" // it could not be started, or could not load the policy
)

// Reasons lists them.
func Reasons() []Reason { return []Reason{Died, Killed, Hung, Unready} }

// Health counts since the start.
type Health struct {
	Processes int               // that are ready to evaluate
	Ended     map[string]uint64 // by reason
	Refused   uint64            // questions that were refused, because of the processes that they ended
}

// Pool evaluates in processes of its own. All methods are safe for concurrent use.
type Pool struct {
	cfg      Config
	suspects child.Suspects[key]

	mu      sync.Mutex // guards the fields below, and those of processes and calls that say so
	seats   [seats]*process
	wanted  bool          // there is something to evaluate, or there was lately
	stopped bool          // Run has ended
	used    time.Time     // when something was last evaluated
	failure error         // why the last start failed; nil if it did not
	changed chan struct{} // closed and replaced when one of the fields above, or a process, changes
	health  Health
}

// New makes a pool that evaluates nothing until Run runs.
func New(cfg Config) (*Pool, error) {
	if cfg.Current == nil {
		return nil, errors.New("worker: Config.Current is required")
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, engine.DecisionTimeout)
	if cfg.Ended == nil {
		cfg.Ended = func(Ended) {}
	}
	p := &Pool{cfg: cfg, suspects: child.NewSuspects[key](), changed: make(chan struct{}), wanted: cfg.Idle == 0}
	p.health.Ended = map[string]uint64{}
	return p, nil
}

// Health is what the pool does.
func (p *Pool) Health() Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := Health{Refused: p.health.Refused, Ended: map[string]uint64{}}
	for reason, n := range p.health.Ended {
		h.Ended[reason] = n
	}
	for _, pr := range p.seats {
		if pr != nil && pr.ready {
			h.Processes++
		}
	}
	return h
}

// Run keeps processes until ctx ends, and then ends them. Call it once.
func (p *Pool) Run(ctx context.Context) error {
	var kept sync.WaitGroup
	for seat := range p.seats {
		kept.Go(func() { p.keep(ctx, seat) })
	}
	for p.cfg.Idle > 0 && sleep(ctx, p.cfg.Idle/4) {
		p.endIdle()
	}
	<-ctx.Done()
	p.mu.Lock()
	p.stopped = true
	p.broadcast()
	p.mu.Unlock()
	kept.Wait()
	return nil
}

// endIdle ends the processes when nothing was evaluated for a while.
func (p *Pool) endIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.wanted || time.Since(p.used) < p.cfg.Idle {
		return
	}
	for _, pr := range p.seats {
		if pr != nil && len(pr.calls) > 0 {
			return
		}
	}
	p.wanted = false
	for _, pr := range p.seats {
		if pr != nil {
			pr.end(idle)
		}
	}
	p.broadcast()
}

// Prepare gives a new generation to the processes that run, and waits for none of them. What is asked of that
// generation in the meantime waits for it.
func (p *Pool) Prepare(g *engine.Generation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pr := range p.seats {
		if pr != nil && pr.ready {
			pr.load(g)
		}
	}
	p.broadcast() // the first generation lets processes start
}

// broadcast wakes those that wait for a change. p.mu is held.
func (p *Pool) broadcast() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// begin finds the process that evaluates q, and registers the call. A suspect gets the spare for itself.
func (p *Pool) begin(ctx context.Context, q *Question, suspect bool) (*process, *call, error) {
	for {
		p.mu.Lock()
		pr, failure, changed := p.pick(suspect), p.failure, p.changed
		p.used = time.Now()
		if !p.wanted {
			p.wanted = true
			p.broadcast()
			changed = p.changed
		}
		if p.stopped {
			failure = errStopped
		}
		if pr != nil && !p.stopped {
			c := &call{question: q, suspect: suspect, result: make(chan outcome, 1)}
			pr.calls[c] = struct{}{}
			pr.alone = pr.alone || suspect
			p.mu.Unlock()
			return pr, c, nil
		}
		p.mu.Unlock()
		if failure != nil {
			return nil, nil, failure
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, errNotReady
		}
	}
}

// pick returns the process for the next evaluation, nil if there is none now. p.mu is held.
func (p *Pool) pick(suspect bool) *process {
	first, spare := p.seats[0], p.seats[1]
	if suspect {
		if first.free() && spare.free() && len(spare.calls) == 0 {
			return spare
		}
		return nil
	}
	if first.free() {
		return first
	}
	if spare.free() {
		return spare
	}
	return nil
}

// evaluate has q evaluated by g, within the deadline of ctx or, without one, of g.
func (p *Pool) evaluate(ctx context.Context, g *engine.Generation, q *Question) (*Answer, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.Timeout())
		defer cancel()
	}
	suspect, err := p.check(q)
	if err != nil {
		p.mu.Lock()
		p.health.Refused++
		p.mu.Unlock()
		return nil, err
	}
	q.Generation, q.Requester = g.Number(), engine.Requester(ctx)
	printer := engine.PrinterOf(ctx)
	q.Prints = printer != nil && g.Prints()
	for {
		pr, c, err := p.begin(ctx, q, suspect)
		if err != nil {
			return nil, unavailable(err)
		}
		var answer *Answer
		if err = pr.hold(ctx, g); err == nil {
			answer, err = p.ask(ctx, pr, c)
		} else {
			p.done(pr, c, nil)
		}
		switch {
		case err == nil && answer.NotHeld:
			pr.forget(g)
		case err == errEnded && ctx.Err() == nil: //nolint:errorlint // as it is, it was not asked: another process is
		case errors.Is(err, errEnded), errors.Is(err, errNotReady):
			return nil, unavailable(err)
		default:
			if answer != nil {
				for _, printed := range answer.Printed {
					printer(printed)
				}
			}
			return answer, err
		}
	}
}

func unavailable(err error) error {
	return &engine.Unavailable{Err: fmt.Errorf("evaluate in another process: %w", err), After: time.Second}
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
