package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// ErrBusy is wrapped when so many decisions are being made that one more would only slow them all. It
// was not begun, and may be asked for again in a moment.
var ErrBusy = errors.New("too many decisions at once")

const (
	// decisionsPerProcessor is how many evaluations run at once where nobody says otherwise. They
	// compute and never wait, so more of them finish no sooner.
	decisionsPerProcessor, leastDecisions = 4, 8

	// waitingPerPlace is how many may wait for each place, and waitingPart how much of its time a
	// decision may wait.
	waitingPerPlace, waitingPart = 64, 4
)

// limiter bounds the evaluations that run at once, over all generations. No path may take all places,
// so that one that computes for a second each time leaves the others some.
type limiter struct {
	places  chan struct{}
	adHoc   chan struct{} // the share of what has no plan: queries that callers write, decisions that they watch
	waiting atomic.Int64
}

// newLimiter bounds to most at once; 0 is by the number of processors.
func newLimiter(most int) *limiter {
	if most <= 0 {
		most = max(leastDecisions, decisionsPerProcessor*runtime.GOMAXPROCS(0))
	}
	l := &limiter{places: make(chan struct{}, most)}
	l.adHoc = l.share()
	return l
}

// share makes the places of one path: three quarters of all, and at least one.
func (l *limiter) share() chan struct{} {
	if l == nil {
		return nil
	}
	return make(chan struct{}, max(1, cap(l.places)*3/4))
}

func (l *limiter) queries() chan struct{} {
	if l == nil {
		return nil
	}
	return l.adHoc
}

// enter takes a place of the share, then one of all; whoever got them leaves them. It waits a part of
// timeout for both together, and not where too many wait already. A nil limiter bounds nothing.
func (l *limiter) enter(ctx context.Context, share chan struct{}, timeout time.Duration) error {
	if l == nil {
		return nil
	}
	select {
	case share <- struct{}{}:
		select {
		case l.places <- struct{}{}:
			return nil
		default:
			<-share
		}
	default:
	}
	return l.wait(ctx, share, timeout/waitingPart)
}

func (l *limiter) wait(ctx context.Context, share chan struct{}, patience time.Duration) error {
	defer l.waiting.Add(-1)
	if l.waiting.Add(1) > int64(waitingPerPlace*cap(l.places)) {
		return fmt.Errorf("%w: %d run, and too many wait", ErrBusy, cap(l.places))
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for _, places := range []chan struct{}{share, l.places} {
		select {
		case places <- struct{}{}:
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		if places != share {
			<-share
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", ErrDecisionTimeout, context.Cause(ctx))
		}
		return fmt.Errorf("%w: %d run, and none ended within %s", ErrBusy, cap(l.places), patience)
	}
	return nil
}

func (l *limiter) leave(share chan struct{}) {
	if l != nil {
		<-l.places
		<-share
	}
}
