package sidecar

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/events"
	"defenseclaw/api/judge"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/engine"
	"defenseclaw/watcher"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// actionConfigUpdate is the action of the audit records of a changed config.yaml.
const actionConfigUpdate = "config-update"

// The transitions of the subsystem config.
const (
	transitionUpdated       = "updated"
	transitionUpdateRefused = "update-refused"
)

// emptyWait is how long config.yaml may be missing or empty before that counts: some programs write a file so.
const emptyWait = 2 * time.Second

// liveSettings are the settings in force. They are replaced as a whole, as a generation of the policy is.
type liveSettings struct {
	now     atomic.Pointer[settings.Snapshot]
	watcher *watcher.Watcher // of config.yaml; nil when it is not read again
	changes chan watcher.Change

	status  atomic.Pointer[api.SettingsStatus]
	mu      sync.Mutex         // held while the file is read and applied; guards the two below
	seen    *settings.Snapshot // when the file was last taken
	waiting []settings.Change  // for a restart
}

func newLiveSettings(cfg Config) *liveSettings {
	l := &liveSettings{changes: make(chan watcher.Change), seen: cfg.Snapshot}
	l.status.Store(&api.SettingsStatus{
		File: cfg.Settings.ConfigFile(), State: api.SettingsCurrent, Since: time.Now().UTC(), AfterRestart: []string{},
	})
	if l.now.Store(cfg.Snapshot); cfg.Snapshot == nil {
		l.now.Store(&settings.Snapshot{Settings: cfg.Settings})
	}
	return l
}

// settings are those in force: what another place holds of them may be older.
func (s *Sidecar) settings() settings.Settings { return s.live.now.Load().Settings }

// configStatus is how the newest config.yaml was taken; nil when it is not read again.
func (s *Sidecar) configStatus() *api.SettingsStatus {
	if s.cfg.Snapshot == nil {
		return nil
	}
	return s.live.status.Load()
}

// makeConfigWatcher makes the watcher of config.yaml. It watches also where the policy is not watched: the two
// settings have nothing to do with each other.
func (s *Sidecar) makeConfigWatcher() (err error) {
	if s.cfg.Snapshot == nil {
		return nil
	}
	set := s.cfg.Settings
	s.live.watcher, err = watcher.New(watcher.Config{
		Root: set.DataDir, Flat: true, Relevant: func(rel string) bool { return rel == filepath.Base(set.ConfigFile()) },
		Mode: watcher.Mode(set.WatchMode), Debounce: set.Debounce, PollInterval: set.PollInterval, SafetyInterval: set.SafetyInterval,
		FullCheckInterval: set.FullCheckInterval,
	})
	return err
}

// followConfig reads config.yaml whenever it may have changed, at once after the start too: what is edited after that is
// on record as whoever told of it.
func (s *Sidecar) followConfig(ctx context.Context) error {
	later := time.NewTimer(0)
	defer later.Stop()
	if !later.Stop() {
		<-later.C
	}
	r := reread{trigger: string(engine.TriggerWatch)}
	for {
		r.patient = true
		select {
		case <-ctx.Done():
			return nil
		case <-s.live.changes:
		case <-later.C:
			r.patient = false
		}
		r.actor = s.configOwner()
		if errors.Is(s.rereadConfig(ctx, r), errConfigEmpty) {
			later.Reset(emptyWait)
		}
	}
}

// configOwner names who owns config.yaml, for a change that no caller asked for.
func (s *Sidecar) configOwner() string {
	folder, name := filepath.Split(s.cfg.Settings.ConfigFile())
	return (&who{dir: folder}).owners([]string{name})[0]
}

// reread is one reading of config.yaml.
type reread struct {
	trigger, actor, requestID string
	asked                     bool // somebody waits for the result: a file that did not change is reported as well
	patient                   bool // a file that is missing or empty may be about to be written
}

var errConfigEmpty = errors.New("config.yaml is missing or empty")

// rereadConfig reads config.yaml and applies what can be applied while the sidecar runs. A file that cannot be
// taken changes nothing; it is announced, and so is one that was taken.
func (s *Sidecar) rereadConfig(ctx context.Context, r reread) error {
	if s.cfg.Snapshot == nil {
		return nil
	}
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	return s.rereadLocked(ctx, r)
}

// rereadLocked is rereadConfig for a caller that holds the lock.
func (s *Sidecar) rereadLocked(ctx context.Context, r reread) error {
	l := s.live
	now := l.now.Load()
	read, err := now.Reread()
	if err == nil && r.patient && read.Empty() && !now.Empty() {
		return errConfigEmpty
	}
	var applied, waiting []settings.Change
	if err == nil {
		if read.SameFile(l.seen) && l.status.Load().State != api.SettingsRefused {
			return nil
		}
		applied, waiting, err = s.apply(ctx, now, read)
	}
	if err != nil {
		s.refuseConfig(ctx, r, err)
		return err
	}
	l.seen = read
	s.announceConfig(ctx, r, applied, waiting)
	return nil
}

// apply puts what was read in force. What can fail comes first, so that an error leaves everything as it was.
func (s *Sidecar) apply(ctx context.Context, now, read *settings.Snapshot) (applied, waiting []settings.Change, err error) {
	next, applied, waiting, err := read.Over(now)
	if err != nil {
		return nil, nil, err
	}
	set, old := next.Settings, s.judge.Load()
	j := old
	if !reflect.DeepEqual(set.Judge, now.Settings.Judge) {
		if j, err = s.makeJudge(set.Judge); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", read.Place("judge"), err)
		}
	}
	for _, key := range set.NotHonored {
		if !slices.Contains(now.Settings.NotHonored, key) {
			s.cfg.Logger.Warn("a setting of the original gateway is not honored", zap.String("setting", key))
		}
	}
	s.live.now.Store(next)
	s.judge.Store(j)
	s.server.Adjust(api.Adjustment{AllowedHosts: set.AllowedHosts, RequestsPerSecond: s.rateLimit(set), Judge: j})
	if s.engine != nil {
		s.engine.Adjust(set.DecisionTimeout, set.RemovalWait)
	}
	if s.cfg.LogLevel != nil {
		s.cfg.LogLevel(set.LogLevel)
	}
	if old != nil && old != j {
		closeIdle(ctx, old)
	}
	return applied, waiting, nil
}

// closeIdle closes the connections of a judge that is no longer asked.
func closeIdle(ctx context.Context, j *judge.Judge) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_ = j.Run(ended) // always nil
}

// refuseConfig announces a file that could not be taken, once for each reason.
func (s *Sidecar) refuseConfig(ctx context.Context, r reread, err error) {
	status := *s.live.status.Load()
	if status.State == api.SettingsRefused && status.Error == err.Error() && !r.asked {
		return
	}
	status.State, status.Error, status.Since = api.SettingsRefused, err.Error(), time.Now().UTC()
	status.Refused++
	s.live.status.Store(&status)
	s.cfg.Logger.Error("config.yaml is refused; the settings before it stay in force", zap.String("trigger", r.trigger), zap.Error(err))
	s.events.Publish(events.Event{Time: status.Since, Subsystem: "config", Transition: transitionUpdateRefused, Details: map[string]any{
		"file": status.File, "trigger": r.trigger, "actor": r.actor, "error": status.Error,
	}})
	s.record(ctx, audit.Record{
		Action: actionConfigUpdate, Actor: r.actor, Target: status.File, Outcome: audit.OutcomeFailed, RequestID: r.requestID,
		Message: status.Error, Details: audit.JSON(map[string]any{"trigger": r.trigger}),
	})
}

// announceConfig announces a file that was taken.
func (s *Sidecar) announceConfig(ctx context.Context, r reread, applied, waiting []settings.Change) {
	status := *s.live.status.Load()
	healed := status.State == api.SettingsRefused
	newly := slices.DeleteFunc(slices.Clone(waiting), func(c settings.Change) bool { return slices.Contains(s.live.waiting, c) })
	s.live.waiting = waiting
	status.State, status.Error, status.Since, status.AfterRestart = api.SettingsCurrent, "", time.Now().UTC(), []string{}
	for _, c := range waiting {
		status.State = api.SettingsRestartNeeded
		status.AfterRestart = append(status.AfterRestart, c.Key)
	}
	if len(applied)+len(newly) > 0 {
		status.Applied++
	}
	s.live.status.Store(&status)
	for _, c := range applied {
		s.logChange(zap.InfoLevel, c, "is in force")
	}
	for _, c := range newly {
		s.logChange(zap.WarnLevel, c, "takes effect after a restart")
	}
	switch {
	case len(applied)+len(newly) > 0:
	case healed:
		s.cfg.Logger.Info("config.yaml is sound again, and says what is in force")
		return
	default:
		return
	}
	details := map[string]any{
		"file": status.File, "trigger": r.trigger, "actor": r.actor, "applied": orEmpty(applied), "after_restart": orEmpty(waiting),
	}
	s.events.Publish(events.Event{Time: status.Since, Subsystem: "config", Transition: transitionUpdated, Details: details})
	s.record(ctx, audit.Record{
		Action: actionConfigUpdate, Actor: r.actor, Target: status.File, RequestID: r.requestID,
		Message: changesText(applied, newly), Details: audit.JSON(details),
	})
}

func (s *Sidecar) logChange(level zapcore.Level, c settings.Change, effect string) {
	s.cfg.Logger.Log(level, fmt.Sprintf("config.yaml: %s changed; %s", c.Key, effect), zap.String("old", c.Old), zap.String("new", c.New))
}

func changesText(applied, waiting []settings.Change) string {
	var parts []string
	for _, c := range applied {
		parts = append(parts, fmt.Sprintf("%s: %q to %q", c.Key, c.Old, c.New))
	}
	for _, c := range waiting {
		parts = append(parts, fmt.Sprintf("%s: %q to %q after a restart", c.Key, c.Old, c.New))
	}
	return strings.Join(parts, "; ")
}

// orEmpty keeps null out of JSON.
func orEmpty(changes []settings.Change) []settings.Change {
	if changes == nil {
		return []settings.Change{}
	}
	return changes
}
