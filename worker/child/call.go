package child

import (
	"context"
	"errors"
	"net/rpc"
	"time"
)

// grace is how long a process may take to end a call that it was told to end. It covers what OPA and the collector do
// between two looks at the deadline, on a busy machine.
const grace = 2 * time.Second

// ErrGone is returned when the process ended before it answered.
var ErrGone = errors.New("the process ended before it answered")

// Call calls a method with what args makes of the number of the call, by which the process ends it when ctx ends: see
// [Calls]. It returns when the process has answered, or has ended, or when ctx has ended: then the error is the cause of
// that, and reply must not be used, then or later. A process that has not ended the call soon after that is killed. One
// call is made at a time: others wait.
func (p *Process) Call(ctx context.Context, method string, args func(call uint64) any, reply any) error {
	select {
	case p.turn <- struct{}{}:
	case <-p.gone:
		return ErrGone
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.calls++
	number := p.calls
	answer := make(chan outcome, 1)
	if !p.begin(func() { // writing to a process that reads nothing would not end when ctx does
		defer func() { <-p.turn }()
		err := p.Client.Call(method, args(number), reply)
		if server := rpc.ServerError(""); err != nil && !errors.As(err, &server) {
			p.Kill() // its connection has ended, and so has the process, or soon
			<-p.gone // before another call begins
			err = ErrGone
		}
		answer <- outcome{err}
	}) {
		<-p.turn
		return ErrGone
	}
	select {
	case o := <-answer:
		return o.err
	case <-ctx.Done():
	}
	p.begin(func() { p.end(number, answer) })
	return context.Cause(ctx)
}

// outcome is how a call ended.
type outcome struct{ err error }

// Watch calls a method, which must answer at once, every so often beside the call that is made, until done is closed or the
// process has ended. told gets what it answers, perhaps once more after done was closed.
func Watch[T any](p *Process, every time.Duration, done <-chan struct{}, method string, told func(T)) {
	p.begin(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-done:
				return
			case <-p.gone:
				return
			}
			var answer T
			if p.Client.Call(method, false, &answer) != nil {
				return
			}
			told(answer)
		}
	})
}

// end has the process end a call, and kills it if it does not.
func (p *Process) end(number uint64, answer <-chan outcome) {
	p.begin(func() { _ = p.Client.Call(methodEnd, number, new(bool)) }) // by the next lines, it matters little
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-answer:
	case <-p.gone:
	case <-timer.C:
		p.mu.Lock()
		p.hung = true
		p.mu.Unlock()
		p.Kill()
	}
}

// begin has f run until it ends, if the process has not ended.
func (p *Process) begin(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	p.work.Go(f)
	return true
}
