package sidecar

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// longestAttempt is more than an attempt may take with all that is announced after it: an engine that
// does not answer for so long is not busy.
const longestAttempt = 3 * time.Minute

// runWatchdog tells systemd that the sidecar is alive for as long as it is, where WatchdogSec= asks
// for that. Without an engine there is no loop to ask.
func (s *Sidecar) runWatchdog(ctx context.Context) {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.cfg.Logger.Warn("systemd's watchdog is not told anything", zap.Error(err))
	}
	if within == 0 {
		return
	}
	w := watchdog{every: within / 2, patience: longestAttempt, alive: func(context.Context) error { return nil }}
	if s.engine != nil {
		w.alive = s.engine.Ping
	}
	w.tell = func() {
		if _, err := daemon.SdNotify(false, daemon.SdNotifyWatchdog); err != nil {
			s.cfg.Logger.Warn("systemd's watchdog could not be told", zap.Error(err))
		}
	}
	w.silent = func(err error) {
		s.cfg.Logger.Error("the engine does not answer: systemd's watchdog is told no more", zap.Error(err))
	}
	w.run(ctx)
}

// A watchdog vouches for a loop that it asks. One that is busy answers late, so a question that waits
// is no reason to be silent before patience is over.
type watchdog struct {
	every, patience time.Duration
	alive           func(context.Context) error // answers when the loop does
	tell            func()
	silent          func(error) // told once for each time that tell is not called any more; nil: out of patience
}

func (w watchdog) run(ctx context.Context) {
	ticks := time.NewTicker(w.every)
	defer ticks.Stop()
	answers := make(chan error) // run takes every answer before it ends
	var asked time.Time         // zero: no question waits
	var mute bool
	vouch := func(ok bool, why error) {
		if ok {
			w.tell()
		} else if !mute && ctx.Err() == nil {
			w.silent(why)
		}
		mute = !ok
	}
	for {
		select {
		case <-ctx.Done():
			if !asked.IsZero() {
				<-answers //nolint:errcheck // only that it ended matters
			}
			return
		case err := <-answers:
			asked = time.Time{}
			vouch(err == nil, err)
		case now := <-ticks.C:
			if asked.IsZero() {
				asked = now
				go func() { answers <- w.alive(ctx) }()
			} else {
				vouch(now.Sub(asked) < w.patience, nil)
			}
		}
	}
}
