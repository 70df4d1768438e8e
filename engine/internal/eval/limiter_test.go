package eval

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// entry waits for long.
func entry(l *Limiter, ctx context.Context, path *quota) error { //nolint:revive // the Limiter is what enters
	_, err := l.enter(ctx, path, time.Hour)
	return err
}

func TestNoRequesterTakesAllPlacesByTwoPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(8)
		one, two := WithRequester(t.Context(), "one"), WithRequester(t.Context(), "two")
		again := WithRequester(t.Context(), "one") // on another connection
		a, b := l.newQuota(), l.newQuota()
		var held []share
		for i, ctx := range []context.Context{one, again, one, again, one, again} {
			s, err := l.enter(ctx, []*quota{a, b}[i%2], time.Second)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, s)
		}
		if _, err := l.enter(again, b, time.Second); !errors.Is(err, ErrBusy) {
			t.Errorf("the seventh of eight slots for one requester: %v; want %v", err, ErrBusy)
		}
		for range 2 {
			if _, err := l.enter(two, a, time.Second); err != nil {
				t.Errorf("a slot for another requester: %v", err)
			}
		}
		l.leave(held[0])
		if _, err := l.enter(one, b, time.Second); err != nil {
			t.Errorf("a slot after one was left: %v", err)
		}
		for _, s := range held[1:] {
			l.leave(s)
		}
		if got := l.quotaIn(one); got != l.quotaIn(again) || got == l.quotaIn(two) || !got.slots.TryAcquire(5) || got.slots.TryAcquire(1) {
			t.Error("want one of the six slots of the requester taken")
		}
	})
}

func TestNoRequesterFillsTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		one, cancel := context.WithCancel(WithRequester(t.Context(), "one"))
		two := WithRequester(t.Context(), "two")
		path := l.newQuota()
		_, _ = l.enter(two, path, time.Second)
		ended := make(chan error, maxWaitingPerSlot)
		for range maxWaitingPerSlot {
			go func() { ended <- entry(l, one, path) }()
		}
		synctest.Wait()
		for range maxWaitingPerSlot / 4 {
			if err := <-ended; !errors.Is(err, ErrBusy) {
				t.Errorf("one more than three quarters of the queue: %v", err)
			}
		}
		go func() { ended <- entry(l, two, l.newQuota()) }()
		synctest.Wait()
		l.leave(share{path: path, by: l.quotaIn(two)})
		cancel()
		for range maxWaitingPerSlot*3/4 + 1 {
			<-ended
		}
	})
}

func TestRequestersBeyondTheMaximumShareAQuota(t *testing.T) {
	l := NewLimiter(4)
	for i := range maxRequesters {
		l.quotaIn(WithRequester(t.Context(), fmt.Sprint(i)))
	}
	if first := l.quotaIn(WithRequester(t.Context(), "0")); first == l.requesters.others {
		t.Error("a requester within the maximum has no quota of its own")
	}
	for _, name := range []string{"more", "and more"} {
		if l.quotaIn(WithRequester(t.Context(), name)) != l.requesters.others {
			t.Errorf("%s has a quota of its own", name)
		}
	}
}

func TestNoPathTakesAllPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(4)
		slow, other := l.newQuota(), l.newQuota()
		for range 3 {
			if _, err := l.enter(t.Context(), slow, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		if _, err := l.enter(t.Context(), slow, time.Second); !errors.Is(err, ErrBusy) {
			t.Errorf("the fourth of one path: %v; want %v", err, ErrBusy)
		}
		if waited := time.Since(begun); waited != time.Second/waitFraction {
			t.Errorf("it waited for %s", waited)
		}
		if _, err := l.enter(t.Context(), other, time.Second); err != nil {
			t.Errorf("the first of another path: %v", err)
		}
		if _, err := l.enter(t.Context(), other, time.Second); !errors.Is(err, ErrBusy) {
			t.Errorf("the fifth of all: %v; want %v", err, ErrBusy)
		}
		l.leave(share{path: slow})
		if _, err := l.enter(t.Context(), other, time.Second); err != nil {
			t.Errorf("a second of the other path, once one has left: %v", err)
		}
	})
}

func TestADecisionThatWaitsTakesThePlaceThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		path := l.newQuota()
		if _, err := l.enter(t.Context(), path, time.Second); err != nil {
			t.Fatal(err)
		}
		entered := make(chan error)
		go func() { entered <- entry(l, t.Context(), path) }()
		synctest.Wait()
		l.leave(share{path: path})
		if err := <-entered; err != nil {
			t.Error(err)
		}
		l.leave(share{path: path})
	})
}

func TestACallerThatGoesAwayHoldsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(4)
		full, mine := l.newQuota(), l.newQuota()
		for range 3 {
			_, _ = l.enter(t.Context(), full, time.Second)
		}
		if _, err := l.enter(t.Context(), mine, time.Second); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- entry(l, ctx, mine) }()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, ErrTimeout) || !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that went away: %v", err)
		}
		if !mine.TryAcquire(2) || mine.TryAcquire(1) { // a quota is three
			t.Error("want one slot of the path taken")
		}
		if l.slots.TryAcquire(1) || l.waiting.Load() != 0 {
			t.Errorf("want all four slots taken; %d wait", l.waiting.Load())
		}
	})
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		path := l.newQuota()
		_, _ = l.enter(t.Context(), path, time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, maxWaitingPerSlot)
		for range maxWaitingPerSlot {
			go func() { ended <- entry(l, ctx, path) }()
		}
		synctest.Wait()
		begun := time.Now()
		if _, err := l.enter(ctx, path, time.Hour); !errors.Is(err, ErrBusy) || time.Since(begun) > 0 {
			t.Errorf("one more than may wait: %v after %s; want %v at once", err, time.Since(begun), ErrBusy)
		}
		cancel()
		for range maxWaitingPerSlot {
			<-ended
		}
	})
}
