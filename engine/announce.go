package engine

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"defenseclaw/engine/internal/contain"
)

// announcementTimeout bounds an announcement without a timeout of its own.
const announcementTimeout = 5 * time.Second

// An Announcement tells one party how an attempt ended. It cannot undo it. Announcements are made one after the
// other, in the order of [Config], after every attempt that has something to say: a new generation, a refusal
// (once for the same content), a healed source, and whatever was asked for. They delay the answer of
// [Engine.Reload], never a decision.
type Announcement struct {
	Name    string
	Timeout time.Duration // 0: five seconds; past it the next one is made, and this one's outcome is an error
	Run     func(context.Context, Report) error
}

// announce makes all announcements and adds their outcomes to the report. One that hangs is left behind in
// left.
func announce(ctx context.Context, list []Announcement, report *Report, left *sync.WaitGroup) {
	for _, a := range list {
		start := time.Now()
		err := a.make(ctx, *report, left)
		report.Outcomes = append(report.Outcomes, Outcome{Name: a.Name, Err: err, Duration: time.Since(start)})
	}
}

func (a Announcement) make(ctx context.Context, report Report, left *sync.WaitGroup) error {
	// What happened is announced even when the engine is being stopped.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(a.Timeout, announcementTimeout))
	done := make(chan error, 1)
	left.Go(func() {
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
