package sidecar

import (
	"context"
	"os"
	"time"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// The states sent to systemd for Type=notify, and for notify-reload. Without NOTIFY_SOCKET nothing is sent.
const (
	notifyReady     = daemon.SdNotifyReady
	notifyReloading = daemon.SdNotifyReloading
	notifyStopping  = daemon.SdNotifyStopping
)

// notify sends a state to systemd, with the text that systemctl status shows.
func (s *Sidecar) notify(state, doing string) {
	if state == notifyReloading {
		state += "\n" + daemon.SdNotifyMonotonicUsec()
	}
	if _, err := daemon.SdNotify(false, state+"\nSTATUS="+doing); err != nil {
		s.cfg.Logger.Warn("systemd was not notified", zap.String("state", state), zap.Error(err))
	}
}

// underSystemd reports whether systemd asked for notifications.
func underSystemd() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// notifyReport updates what systemctl status shows after a reload. Reloads at the start and by SIGHUP
// are left out: notify follows when they end.
func (s *Sidecar) notifyReport(_ context.Context, r engine.Report) error {
	if r.Trigger.Kind == engine.TriggerStartup || r.Trigger.Kind == engine.TriggerSignal {
		return nil
	}
	_, err := daemon.SdNotify(false, "STATUS="+s.doing())
	return err
}

// doing says in one line what serves.
func (s *Sidecar) doing() string {
	if s.engine == nil {
		return "validating only"
	}
	status := s.engine.Status()
	text := string(status.State)
	if s.control != nil && s.control.Expired() {
		text = "expired, no decisions are made"
	}
	if s.staleness != nil && s.staleness.now.Load() {
		text += ", source stale, action " + s.cfg.Settings.Source.Stale.Action
	}
	if status.Refused != nil {
		text += ": " + status.Refused.Error()
	}
	return report.FirstLine(text)
}

// notifySystemd feeds systemd's watchdog after the first load, and reports when the sidecar stops.
func (s *Sidecar) notifySystemd(ctx context.Context, loaded <-chan struct{}) error {
	if waitFor(ctx, loaded) {
		s.runWatchdog(ctx)
	}
	<-ctx.Done()
	s.notify(notifyStopping, "draining requests")
	return nil
}

// maxAttempt is longer than an attempt and its announcements may take. An engine that does not answer
// for that long hangs.
const maxAttempt = 3 * time.Minute

// runWatchdog sends keep-alives to systemd while the engine's loop answers, if WatchdogSec= is set.
// Without an engine it always sends them.
func (s *Sidecar) runWatchdog(ctx context.Context) {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.cfg.Logger.Warn("systemd's watchdog gets no keep-alives", zap.Error(err))
	}
	if within == 0 {
		return
	}
	w := watchdog{every: within / 2, patience: maxAttempt, ping: func(context.Context) error { return nil }}
	if s.engine != nil {
		w.ping = s.engine.Ping
	}
	w.keepAlive = func() {
		if _, err := daemon.SdNotify(false, daemon.SdNotifyWatchdog); err != nil {
			s.cfg.Logger.Warn("a keep-alive for systemd's watchdog was not sent", zap.Error(err))
		}
	}
	w.silent = func(err error) {
		s.cfg.Logger.Error("the engine does not answer: systemd's watchdog gets no more keep-alives", zap.Error(err))
	}
	w.run(ctx)
}

// A watchdog pings a loop and sends keep-alives while it answers. A busy loop answers late, so the
// keep-alives go on while a ping waits, until patience is over.
type watchdog struct {
	every, patience time.Duration
	ping            func(context.Context) error // returns when the loop answers
	keepAlive       func()
	silent          func(error) // called once when the keep-alives stop; a nil error: patience is over
}

func (w watchdog) run(ctx context.Context) {
	ticks := time.NewTicker(w.every)
	defer ticks.Stop()
	answers := make(chan error) // run takes every answer before it ends
	var asked time.Time         // zero: no ping waits
	var mute bool
	report := func(ok bool, why error) {
		if ok {
			w.keepAlive()
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
			report(err == nil, err)
		case now := <-ticks.C:
			if asked.IsZero() {
				asked = now
				go func() { answers <- w.ping(ctx) }()
			} else {
				report(now.Sub(asked) < w.patience, nil)
			}
		}
	}
}
