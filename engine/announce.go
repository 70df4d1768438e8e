package engine

import (
	"context"
	"fmt"
	"time"

	"defenseclaw/engine/internal/contain"
)

// announcementTimeout bounds an announcement that names no time-out of its own.
const announcementTimeout = 5 * time.Second

// An Announcement tells somebody how an attempt ended. It cannot undo it. Announcements are made
// one after the other, in the order of [Config], after every attempt that has something to say: a
// new generation, a refusal (once for the same content), a healed source, and whatever somebody
// asked for. They delay the answer of [Engine.Reload], never a decision.
type Announcement struct {
	Name    string
	Timeout time.Duration // 0: five seconds; past it the next one is made, and this one's outcome is an error
	Run     func(context.Context, Report) error
}

// Outcome is how one announcement went.
type Outcome struct {
	Name     string
	Err      error
	Duration time.Duration
}

// announce makes all announcements; one that hangs is left behind and joined when Run ends.
func (e *Engine) announce(ctx context.Context, report *Report) {
	for _, a := range e.cfg.Announcements {
		start := time.Now()
		err := e.announceOne(ctx, a, *report)
		report.Outcomes = append(report.Outcomes, Outcome{Name: a.Name, Err: err, Duration: time.Since(start)})
	}
}

func (e *Engine) announceOne(ctx context.Context, a Announcement, report Report) error {
	timeout := a.Timeout
	if timeout == 0 {
		timeout = announcementTimeout
	}
	// What happened is announced even when the engine is being stopped.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	done := make(chan error, 1)
	e.left.Go(func() {
		defer cancel()
		var err error
		defer func() { done <- err }()
		defer contain.Panic("announce to "+a.Name, &err)
		err = a.Run(ctx, report)
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		select {
		case err := <-done: // it ended, and cancelled ctx itself
			return err
		default:
			return fmt.Errorf("announce to %s: %w", a.Name, ctx.Err())
		}
	}
}
