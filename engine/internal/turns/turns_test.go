package turns

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// work goes on in steps for so long, and looks for the next turn after each.
func work(t *turns, lasts, step time.Duration) {
	for range lasts / step {
		time.Sleep(step)
		t.next()
	}
}

func TestOthersRunBetweenTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		yields := 0
		turns := newTurns(func() { yields++ })
		work(turns, 10*turn, turn/4)
		if yields != 10 {
			t.Errorf("yielded %d times in 10 turns", yields)
		}
		work(turns, 10*turn, 2*turn)
		if yields != 15 {
			t.Errorf("yielded %d times in 5 steps that took two turns each", yields-10)
		}
	})
}

func TestNoAttemptWaitsForLongerThanItWorks(t *testing.T) {
	const theirs = 3 * time.Millisecond // a busy machine's turn
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		turns := newTurns(func() { time.Sleep(theirs) })
		const worked = 100 * time.Millisecond
		work(turns, worked, turn)
		waited := time.Since(begun) - worked
		if waited < worked-theirs || waited > worked+theirs {
			t.Errorf("waited for %s while it worked for %s", waited, worked)
		}
	})
}

func TestWhatEndsDoesNotWaitForATurn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if err := Next(ctx); err != nil {
		t.Errorf("out of turns: %v", err)
	}
	ctx = With(ctx)
	if err := Next(ctx); err != nil {
		t.Errorf("in turns: %v", err)
	}
	cancel()
	if err := Next(ctx); err == nil {
		t.Error("goes on after the end")
	}
}
