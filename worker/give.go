package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"defenseclaw/engine"
	"defenseclaw/worker/child"
)

// hold waits until the process holds g. An error is that ctx ended or, as [errEnded], that the process did, or that
// it could not load g.
func (pr *process) hold(ctx context.Context, g *engine.Generation) error {
	pr.mu.Lock()
	l := pr.load(g)
	pr.mu.Unlock()
	select {
	case <-l.done:
		if errors.Is(l.err, child.ErrGone) {
			<-pr.accounted
			return errEnded
		}
		return l.err
	case <-pr.accounted:
		return errEnded
	case <-ctx.Done():
		return fmt.Errorf("%w: it still loads generation %d", errNotReady, g.Number())
	}
}

// load begins to give g to the process, unless that has begun before. mu is held.
func (pr *process) load(g *engine.Generation) *loading {
	for _, l := range pr.loads {
		if l.number == g.Number() {
			return l
		}
	}
	l := &loading{number: g.Number(), done: make(chan struct{})}
	if pr.gone {
		l.err = errEnded
		close(l.done)
		return l
	}
	pr.loads = append(pr.loads, l)
	if len(pr.loads) > held {
		pr.loads = slices.Delete(pr.loads, 0, 1)
	}
	pr.work.Go(func() {
		defer close(l.done)
		if l.err = pr.give(g); l.err != nil {
			pr.forget(g)
		}
	})
	return l
}

// forget has g loaded again the next time that it is needed.
func (pr *process) forget(g *engine.Generation) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.loads = slices.DeleteFunc(pr.loads, func(l *loading) bool { return l.number == g.Number() })
}

// give gives the process what g has and the generation before had not.
func (pr *process) give(g *engine.Generation) error {
	pr.giving.Lock()
	defer pr.giving.Unlock()
	gift := child.Gift{ID: g.Number()}
	if pr.given != nil {
		gift.From, gift.FromID = pr.given, pr.given.Number()
		gift.Keep = []uint64{gift.FromID}
	}
	if err := pr.Give(context.Background(), g, gift); err != nil {
		return fmt.Errorf("generation %d: %w", g.Number(), err)
	}
	pr.given = g
	return nil
}
