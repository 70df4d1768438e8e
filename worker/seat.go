package worker

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// A start that failed is repeated after a pause, which doubles from the shortest to the longest. A process that
// ended while it evaluated is replaced at once.
const minPause, maxPause = 100 * time.Millisecond, 10 * time.Second

// keep keeps a process in a seat while one is wanted, until ctx ends.
func (p *Pool) keep(ctx context.Context, seat int) {
	// On Linux, a process is killed when the thread ends that started it: this one does not before it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pause := time.Duration(0)
	for p.awaitWanted(ctx, seat) {
		if p.occupy(ctx, seat) {
			pause = 0
			continue
		}
		pause = min(max(minPause, 2*pause), maxPause)
		if !sleep(ctx, pause) {
			return
		}
	}
}

// awaitWanted waits until the seat must have a process: the first when there is something to evaluate, the spare when
// the first is ready. It reports false when ctx ends.
func (p *Pool) awaitWanted(ctx context.Context, seat int) bool {
	for {
		p.mu.Lock()
		first, changed := p.seats[0], p.changed
		wanted := p.wanted && p.cfg.Current() != nil && (seat == 0 || first != nil && first.ready)
		p.mu.Unlock()
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

// occupy starts a process, and waits for its end. It reports false if it was of no use: it could not be started, or
// ended before it evaluated anything.
func (p *Pool) occupy(ctx context.Context, seat int) bool {
	pr, err := p.start(ctx)
	if err != nil {
		p.fail(fmt.Errorf("start a process: %w", err))
		p.report(Ended{Reason: Unready, Detail: err.Error()})
		return false
	}
	p.mu.Lock()
	p.seats[seat] = pr
	p.mu.Unlock()
	var unready error
	pr.work.Go(func() {
		if unready = pr.hold(ctx, p.cfg.Current()); unready != nil {
			pr.Kill()
			return
		}
		p.mu.Lock()
		pr.ready, p.failure = !pr.gone, nil
		p.broadcast()
		p.mu.Unlock()
	})
	how, detail := pr.Wait()
	ended, expected := p.account(ctx, seat, Reason(how), detail)
	ready := pr.ready // which does not change any more
	if ready && !expected {
		p.report(ended)
	}
	close(pr.accounted)
	pr.work.Wait()
	if !ready && !expected {
		p.fail(fmt.Errorf("the process ended while it loaded the policy: %s", detail))
		p.report(Ended{Reason: Unready, Detail: fmt.Sprintf("%s; %v", detail, unready)})
	}
	return ready && (pr.asked || expected)
}

// report counts the end of a process, and reports it.
func (p *Pool) report(e Ended) {
	p.mu.Lock()
	p.health.Ended[string(e.Reason)]++
	p.mu.Unlock()
	p.cfg.Ended(e)
}

// fail has those that wait for a process know that there will be none soon.
func (p *Pool) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = err
	p.broadcast()
}

// account takes a process that has ended out of its seat, and records what it was evaluating. It reports whether the
// end was expected.
func (p *Pool) account(ctx context.Context, seat int, reason Reason, detail string) (ended Ended, expected bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pr := p.seats[seat]
	p.seats[seat], pr.gone = nil, true
	p.broadcast()
	ended = Ended{Reason: reason, Detail: detail}
	if pr.ended == hung {
		ended.Reason, ended.Detail = Hung, fmt.Sprintf("%d evaluations were past their deadline", pr.hanging)
	}
	if expected = ctx.Err() != nil || pr.ended == idle; expected {
		return ended, true
	}
	for c := range pr.calls {
		if c.sent && (pr.ended != hung || c.hung) {
			k := c.question.key()
			ended.Inputs = append(ended.Inputs, Input{Path: k.Path, SHA256: k.hash(), Ends: p.suspects.Add(k)})
		}
	}
	return ended, false
}
