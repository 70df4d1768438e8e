package sidecar

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/policies"
)

// vouched runs a watchdog of an engine for a while, and tells when systemd was told and how often the
// watchdog fell silent.
func vouched(t *testing.T, e *engine.Engine, patience, while time.Duration) (last time.Duration, told, silent int, why error) {
	t.Helper()
	start := time.Now()
	w := watchdog{
		every: time.Second, patience: patience, alive: e.Ping,
		tell:   func() { told++; last = time.Since(start) },
		silent: func(err error) { silent++; why = err },
	}
	ctx, cancel := context.WithTimeout(t.Context(), while)
	defer cancel()
	w.run(ctx)
	return last, told, silent, why
}

func newEngine(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.New(engine.Config{Source: func() (fs.FS, error) { return policies.FS(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTheWatchdogIsToldWhileTheEngineAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		last, told, silent, _ := vouched(t, e, time.Minute, 1000*time.Second+500*time.Millisecond)
		if told != 1000 || last != 1000*time.Second || silent != 0 {
			t.Errorf("told %d times, last after %s; silent %d times", told, last, silent)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_, told, silent, why := vouched(t, e, time.Minute, 10*time.Second)
		if told != 0 || silent != 1 || !errors.Is(why, engine.ErrStopped) {
			t.Errorf("the engine has stopped: told %d times, silent %d times: %v", told, silent, why)
		}
	})
}

// TestTheWatchdogIsToldNoMoreWhenTheEngineHangs: an engine whose loop does not run answers as little
// as one whose loop hangs.
func TestTheWatchdogIsToldNoMoreWhenTheEngineHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last, told, silent, why := vouched(t, newEngine(t), 10*time.Second, time.Hour)
		if told == 0 || last >= 11*time.Second {
			t.Errorf("told %d times, last after %s: a busy engine is vouched for, and not for longer than the patience", told, last)
		}
		if silent != 1 || why != nil {
			t.Errorf("it fell silent %d times: %v", silent, why)
		}
	})
}
