package sidecar

import (
	"context"
	"os"
	"strings"
	"time"

	"defenseclaw/engine"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// The states that systemd is told where it asked to be, by Type=notify-reload. Elsewhere nothing
// is told.
const (
	notifyReady     = daemon.SdNotifyReady
	notifyReloading = daemon.SdNotifyReloading
	notifyStopping  = daemon.SdNotifyStopping
)

// notify also tells what the sidecar is doing, which systemctl status shows.
func (s *Sidecar) notify(state, doing string) {
	if state == notifyReloading {
		state += "\n" + daemon.SdNotifyMonotonicUsec()
	}
	if _, err := daemon.SdNotify(false, state+"\nSTATUS="+doing); err != nil {
		s.cfg.Logger.Warn("systemd could not be told", zap.String("state", state), zap.Error(err))
	}
}

// underSystemd reports whether somebody is told.
func underSystemd() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// tellReport keeps what systemctl status shows true after the reloads that systemd did not ask for;
// it is told of the others when they are over.
func (s *Sidecar) tellReport(_ context.Context, r engine.Report) error {
	if r.Trigger.Kind == engine.TriggerStartup || r.Trigger.Kind == engine.TriggerSignal {
		return nil
	}
	_, err := daemon.SdNotify(false, "STATUS="+s.doing())
	return err
}

// doing is what serves, in a few words.
func (s *Sidecar) doing() string {
	if s.engine == nil {
		return "validating only"
	}
	status := s.engine.Status()
	text := string(status.State)
	if status.Refused != nil {
		text += ": " + status.Refused.Error()
	}
	return firstLine(text)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// notifySystemd keeps systemd's watchdog content from the first load on, and reports that the sidecar
// stops.
func (s *Sidecar) notifySystemd(ctx context.Context, loaded <-chan struct{}) error {
	if waitFor(ctx, loaded) {
		s.runWatchdog(ctx)
	}
	<-ctx.Done()
	s.notify(notifyStopping, "draining requests")
	return nil
}

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
