package eval

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// ErrBusy is wrapped if one more decision at the same time would only slow down the others. It was not begun,
// and may be asked for again soon.
var ErrBusy = errors.New("too many decisions at once")

// Evaluations compute and never wait, so more than a few for each processor finish no sooner.
const decisionsPerProcessor, minDecisions = 4, 8

// A decision waits for its slots for at most a quarter of its timeout, and at most 64 wait for each slot. A
// caller that must be refused is refused while it has time to ask elsewhere, and the memory that those who
// wait hold has a bound.
const waitFraction, maxWaitingPerSlot = 4, 64

// Limiter bounds the evaluations that run at once, over all generations. A nil Limiter bounds nothing. Safe
// for concurrent use.
type Limiter struct {
	size    int
	slots   *semaphore.Weighted
	adHoc   *quota // of evaluations that have no plan: queries that callers write, decisions that they trace
	waiting atomic.Int64

	requesters requesters
}

// share is what one evaluation takes of a Limiter in addition to a slot: part of two quotas, which others can have
// neither by asking for another path nor by asking more often.
type share struct {
	path *quota
	by   *quotaOf // nil: it is not known who asks
}

// tryAcquire takes both or none.
func (s share) tryAcquire() bool {
	if s.by != nil && !s.by.slots.TryAcquire(1) {
		return false
	}
	if s.path.TryAcquire(1) {
		return true
	}
	if s.by != nil {
		s.by.slots.Release(1)
	}
	return false
}

// acquire takes the requester's quota first: who is over it waits without part of a path's, which others need.
func (s share) acquire(ctx context.Context) error {
	if s.by != nil {
		if err := s.by.slots.Acquire(ctx, 1); err != nil {
			return err
		}
	}
	err := s.path.Acquire(ctx, 1)
	if err != nil && s.by != nil {
		s.by.slots.Release(1)
	}
	return err
}

func (s share) release() {
	s.path.Release(1)
	if s.by != nil {
		s.by.slots.Release(1)
	}
}

// quota bounds the slots that the decisions of one path, or of one requester, hold: three quarters of all, and at least one.
type quota = semaphore.Weighted

// NewLimiter bounds evaluations to maxDecisions at once; 0 derives the bound from the number of processors.
func NewLimiter(maxDecisions int) *Limiter {
	if maxDecisions <= 0 {
		maxDecisions = max(minDecisions, decisionsPerProcessor*runtime.GOMAXPROCS(0))
	}
	l := &Limiter{size: maxDecisions, slots: semaphore.NewWeighted(int64(maxDecisions))}
	l.adHoc = l.newQuota()
	l.requesters.others = &quotaOf{limiter: l, slots: l.newQuota()}
	return l
}

// newQuota makes the quota of one path or requester.
func (l *Limiter) newQuota() *quota {
	if l == nil {
		return nil
	}
	return semaphore.NewWeighted(int64(l.QuotaSize()))
}

// QuotaSize is how many evaluations of one path, or without a plan, may run at once. It is rounded down but never to
// nothing, so a Limiter of one slot lets one path have all.
func (l *Limiter) QuotaSize() int { return max(1, l.size*3/4) }

func (l *Limiter) adHocQuota() *quota {
	if l == nil {
		return nil
	}
	return l.adHoc
}

// enter acquires a slot of the path's quota and of the requester's, then a global one; leave releases them. It waits
// at most a quarter of timeout, and fails at once when the queue is full.
func (l *Limiter) enter(ctx context.Context, path *quota, timeout time.Duration) (share, error) {
	if l == nil {
		return share{}, nil
	}
	s := share{path: path, by: l.quotaIn(ctx)}
	// Who asks is looked up in the context, not handed over: every protocol hands its context down, and a
	// connection's is made once for all of its decisions. The usual way takes neither a timer nor a context. The quotas come first here and in wait, so that a
	// path that is over its quota holds no slot while it waits.
	if s.tryAcquire() {
		if l.slots.TryAcquire(1) {
			return s, nil
		}
		s.release()
	}
	return s, l.wait(ctx, s, timeout/waitFraction)
}

// wait takes a slot within the patience of a caller, unless too many wait already.
func (l *Limiter) wait(ctx context.Context, s share, patience time.Duration) error {
	places := int64(maxWaitingPerSlot * l.size)
	defer l.waiting.Add(-1)
	full := l.waiting.Add(1) > places
	// Those who wait for a quota of their own fill the queue as well as those who wait for a slot.
	if s.by != nil {
		defer s.by.waiting.Add(-1)
		full = s.by.waiting.Add(1) > max(1, places*3/4) || full
	}
	if full {
		return fmt.Errorf("%w: %d run, and too many wait", ErrBusy, l.size)
	}
	waitCtx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if s.acquire(waitCtx) == nil {
		if l.slots.Acquire(waitCtx, 1) == nil {
			return nil
		}
		s.release()
	}
	// waitCtx ends with ctx, too. Only if ctx is alive, it was the queue that took too long.
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrTimeout, context.Cause(ctx))
	}
	return fmt.Errorf("%w: %d run, and none ended within %s", ErrBusy, l.size, patience)
}

// leave is for those that entered, once, in whatever order they end.
func (l *Limiter) leave(s share) {
	if l != nil {
		l.slots.Release(1)
		s.release()
	}
}
