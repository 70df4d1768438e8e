package eval

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestNoPathTakesAllPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(4)
		slow, other := l.newQuota(), l.newQuota()
		for range 3 {
			if err := l.enter(t.Context(), slow, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		if err := l.enter(t.Context(), slow, time.Second); !errors.Is(err, ErrBusy) {
			t.Errorf("the fourth of one path: %v; want %v", err, ErrBusy)
		}
		if waited := time.Since(begun); waited != time.Second/waitFraction {
			t.Errorf("it waited for %s", waited)
		}
		if err := l.enter(t.Context(), other, time.Second); err != nil {
			t.Errorf("the first of another path: %v", err)
		}
		if err := l.enter(t.Context(), other, time.Second); !errors.Is(err, ErrBusy) {
			t.Errorf("the fifth of all: %v; want %v", err, ErrBusy)
		}
		l.leave(slow)
		if err := l.enter(t.Context(), other, time.Second); err != nil {
			t.Errorf("a second of the other path, once one has left: %v", err)
		}
	})
}

func TestADecisionThatWaitsTakesThePlaceThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		share := l.newQuota()
		if err := l.enter(t.Context(), share, time.Second); err != nil {
			t.Fatal(err)
		}
		entered := make(chan error)
		go func() { entered <- l.enter(t.Context(), share, time.Second) }()
		synctest.Wait()
		l.leave(share)
		if err := <-entered; err != nil {
			t.Error(err)
		}
		l.leave(share)
	})
}

func TestACallerThatGoesAwayHoldsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(4)
		full, mine := l.newQuota(), l.newQuota()
		for range 3 {
			_ = l.enter(t.Context(), full, time.Second)
		}
		if err := l.enter(t.Context(), mine, time.Second); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.enter(ctx, mine, time.Hour) }()
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
		share := l.newQuota()
		_ = l.enter(t.Context(), share, time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, maxWaitingPerSlot)
		for range maxWaitingPerSlot {
			go func() { ended <- l.enter(ctx, share, time.Hour) }()
		}
		synctest.Wait()
		begun := time.Now()
		if err := l.enter(ctx, share, time.Hour); !errors.Is(err, ErrBusy) || time.Since(begun) > 0 {
			t.Errorf("one more than may wait: %v after %s; want %v at once", err, time.Since(begun), ErrBusy)
		}
		cancel()
		for range maxWaitingPerSlot {
			<-ended
		}
	})
}
