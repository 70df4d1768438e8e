package worker

import (
	"context"
	"sync"

	"defenseclaw/engine"
	"defenseclaw/worker/child"
)

// process is one worker, from its start to its end.
type process struct {
	*child.Process
	places    int            // evaluations that one caller can have it make at once
	accounted chan struct{}  // closed when it has ended, and what it was evaluating is on record
	work      sync.WaitGroup // goroutines that talk with it

	giving sync.Mutex // held while it is given a generation
	given  *engine.Generation

	mu *sync.Mutex // the pool's; it guards the fields below

	ready   bool // it holds a generation
	gone    bool // it has ended: nothing begins any more
	alone   bool // it evaluates a suspect, and nothing else
	asked   bool // it was asked something
	hanging int
	ended   ending // why the pool ended it; empty: it did not
	calls   map[*call]struct{}
	loads   []*loading // what it holds or is given, the newest last
}

// free reports whether a call may begin. mu is held.
func (pr *process) free() bool { return pr != nil && pr.ready && pr.ended == "" && !pr.alone }

// ending is why the pool ends a process.
type ending string

const (
	idle ending = "idle"
	hung ending = "hung"
)

// loading is a generation that a process is given, or holds.
type loading struct {
	number uint64
	done   chan struct{}
	err    error // after done
}

// held is how many generations a process holds: the one that serves, and the one before for what is under way.
const held = 2

// start starts a process. It ends when ctx does.
func (p *Pool) start(ctx context.Context) (*process, error) {
	started, err := child.Start(ctx, child.Config{Args: []string{processTitle}, Env: p.cfg.environment()})
	if err != nil {
		return nil, err
	}
	return &process{
		Process: started, places: engine.Places(p.cfg.Decisions), mu: &p.mu,
		accounted: make(chan struct{}), calls: map[*call]struct{}{},
	}, nil
}

// end ends a process on purpose. mu is held.
func (pr *process) end(why ending) {
	pr.ended = why
	pr.Kill()
}
