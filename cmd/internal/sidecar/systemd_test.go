package sidecar

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/enginetest"
	"defenseclaw/policies"
)

// watched runs a watchdog of an engine for a while. It returns when the last keep-alive was sent, how
// many there were, and how often and why they stopped.
func watched(t *testing.T, e *engine.Engine, patience, while time.Duration) (last time.Duration, sent, silent int, why error) {
	t.Helper()
	start := time.Now()
	w := watchdog{
		every: time.Second, patience: patience, ping: e.Ping,
		keepAlive: func() { sent++; last = time.Since(start) },
		silent:    func(err error) { silent++; why = err },
	}
	ctx, cancel := context.WithTimeout(t.Context(), while)
	defer cancel()
	w.run(ctx)
	return last, sent, silent, why
}

func newEngine(t *testing.T) *engine.Engine {
	t.Helper()
	return enginetest.New(t, engine.Config{Source: func() (fs.FS, error) { return policies.FS(), nil }})
}

func TestKeepAlivesAreSentWhileTheEngineAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		last, sent, silent, _ := watched(t, e, time.Minute, 1000*time.Second+500*time.Millisecond)
		if sent != 1000 || last != 1000*time.Second || silent != 0 {
			t.Errorf("%d keep-alives, last after %s; silent %d times", sent, last, silent)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_, sent, silent, why := watched(t, e, time.Minute, 10*time.Second)
		if sent != 0 || silent != 1 || !errors.Is(why, engine.ErrStopped) {
			t.Errorf("the engine has stopped: %d keep-alives, silent %d times: %v", sent, silent, why)
		}
	})
}

// TestKeepAlivesStopWhenTheEngineHangs: an engine whose loop does not run looks like one
// whose loop hangs.
func TestKeepAlivesStopWhenTheEngineHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last, sent, silent, why := watched(t, newEngine(t), 10*time.Second, time.Hour)
		if sent == 0 || last >= 11*time.Second {
			t.Errorf("%d keep-alives, the last after %s: they go on for a busy engine, but not longer than patience", sent, last)
		}
		if silent != 1 || why != nil {
			t.Errorf("it fell silent %d times: %v", silent, why)
		}
	})
}
