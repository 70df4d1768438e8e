package worker

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"time"

	"defenseclaw/engine"
)

// call is one question to one process.
type call struct {
	question *Question
	suspect  bool // it has the process for itself
	result   chan outcome

	// Guarded by the pool's mu.
	sent bool
	hung bool        // it counts as hanging
	late *time.Timer // makes it hang; nil before its deadline
}

type outcome struct {
	answer *Answer
	err    error
}

// ask sends a call and waits for its answer, at most until ctx ends. What does not end then keeps its place in the
// process, and counts as hanging soon.
func (p *Pool) ask(ctx context.Context, pr *process, c *call) (*Answer, error) {
	deadline, _ := ctx.Deadline()
	c.question.Timeout = time.Until(deadline)
	if !p.send(pr, c) {
		return nil, errEnded
	}
	select {
	case o := <-c.result:
		return o.answer, o.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	if _, underWay := pr.calls[c]; underWay {
		c.late = time.AfterFunc(hangGrace, func() { p.hang(pr, c) })
	}
	p.mu.Unlock()
	return nil, fmt.Errorf("evaluate in another process: %w: %w", engine.ErrDecisionTimeout, context.Cause(ctx))
}

// send sends a call, which ends on its own. It reports false if the process has gone.
func (p *Pool) send(pr *process, c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pr.gone {
		return false
	}
	c.sent, pr.asked = true, true
	pr.work.Go(func() { // writing to a process that reads nothing would not end at the deadline
		answer := new(Answer)
		err := pr.Client.Call(methodEvaluate, c.question, answer)
		p.done(pr, c, err)
		if err != nil {
			answer, err = nil, pr.failed(err)
		}
		c.result <- outcome{answer, err}
	})
	return true
}

// failed explains an error of a call. If the process has ended, it waits until that is on record, so that whoever
// asks the same again meets its consequences.
func (pr *process) failed(err error) error {
	if server := rpc.ServerError(""); errors.As(err, &server) {
		return fmt.Errorf("evaluate in another process: %w", err)
	}
	<-pr.accounted
	return &engine.Unavailable{Err: errEnded, After: time.Second}
}

// done ends a call, unless the process ended with it: such calls are on record until it is replaced.
func (p *Pool) done(pr *process, c *call, err error) {
	server := rpc.ServerError("")
	if err != nil && !errors.As(err, &server) {
		pr.Kill()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(pr.calls, c)
	if c.late != nil {
		c.late.Stop()
	}
	if c.hung {
		pr.hanging--
	}
	if c.suspect {
		if c.sent {
			p.suspects.Clear(c.question.key())
		}
		pr.alone = false
		p.broadcast()
	}
}

// hang counts a call that is past its deadline. It ends the process when as many hang as it has places.
func (p *Pool) hang(pr *process, c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, underWay := pr.calls[c]; !underWay {
		return
	}
	c.hung = true
	pr.hanging++
	if pr.hanging >= pr.places || pr.alone {
		pr.end(hung)
	}
}
