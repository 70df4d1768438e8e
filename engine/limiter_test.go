package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestNoPathTakesAllPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(4)
		slow, other := l.share(), l.share()
		for range 3 {
			if err := l.enter(t.Context(), slow, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		if err := l.enter(t.Context(), slow, time.Second); !errors.Is(err, ErrBusy) {
			t.Errorf("the fourth of one path: %v; want %v", err, ErrBusy)
		}
		if waited := time.Since(begun); waited != time.Second/waitingPart {
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
		l := newLimiter(1)
		share := l.share()
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

func TestWhoGoesAwayWaitsNoLongerAndKeepsNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(4)
		full, mine := l.share(), l.share()
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
		if err := <-ended; !errors.Is(err, ErrDecisionTimeout) || !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that went away: %v", err)
		}
		if len(mine) != 1 || len(l.places) != 4 || l.waiting.Load() != 0 {
			t.Errorf("%d places of the path and %d of all are taken, %d wait; want 1, 4 and 0", len(mine), len(l.places), l.waiting.Load())
		}
	})
}

func TestWhereTooManyWaitNobodyElseDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1)
		share := l.share()
		_ = l.enter(t.Context(), share, time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, waitingPerPlace)
		for range waitingPerPlace {
			go func() { ended <- l.enter(ctx, share, time.Hour) }()
		}
		synctest.Wait()
		begun := time.Now()
		if err := l.enter(ctx, share, time.Hour); !errors.Is(err, ErrBusy) || time.Since(begun) > 0 {
			t.Errorf("one more than may wait: %v after %s; want %v at once", err, time.Since(begun), ErrBusy)
		}
		cancel()
		for range waitingPerPlace {
			<-ended
		}
	})
}
