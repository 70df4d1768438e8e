package sidecar

import (
	"context"
	"os"

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

// tellSystemd also tells what the sidecar is doing, which systemctl status shows.
func (s *Sidecar) tellSystemd(state, doing string) {
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
