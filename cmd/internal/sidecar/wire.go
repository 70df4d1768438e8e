package sidecar

import (
	"context"
	"fmt"

	"defenseclaw/api"
	"defenseclaw/api/metrics"
	"defenseclaw/engine"
	"defenseclaw/watcher"

	"go.uber.org/zap"
)

// wire makes the parts and joins them. The two lists of the engine are the whole extension surface.
func (s *Sidecar) wire() (err error) {
	settings := s.cfg.Settings
	s.metrics, err = metrics.New(metrics.Config{
		Version: s.cfg.Version, Routes: api.Routes(), Snapshot: s.snapshot,
		OnError: func(err error) { s.cfg.Logger.Warn("metrics or traces could not be exported", zap.Error(err)) },
	})
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if !settings.ValidateOnly {
		s.engine, err = engine.New(engine.Config{Source: s.source, Limits: settings.Limits, Announcements: s.announcements()})
		if err != nil {
			return err
		}
	}
	if s.engine != nil && settings.PolicyDir != "" && settings.Watch {
		s.watcher, err = watcher.New(watcher.Config{
			Root:              settings.PolicyDir,
			Relevant:          engine.Relevant,
			Mode:              watcher.Mode(settings.WatchMode),
			Debounce:          settings.Debounce,
			PollInterval:      settings.Poll,
			SafetyInterval:    settings.Safety,
			FullCheckInterval: settings.FullCheck,
			MaxDepth:          settings.Limits.Depth,
		})
		if err != nil {
			return err
		}
	}
	s.server, err = api.New(api.Config{
		Engine:    s.engine,
		Source:    s.source,
		PolicyDir: settings.PolicyDir,
		Token:     s.token,
		BindHost:  settings.APIBind,
		Watch:     s.watchHealth,
		LastGood:  s.lastGood,
		Metrics:   s.metrics,
		Logger:    s.cfg.Logger,
	})
	return err
}

// announcements are made after every attempt that has something to say, in this order.
func (s *Sidecar) announcements() []engine.Announcement {
	list := []engine.Announcement{{Name: "metrics", Run: s.countReport}, {Name: "log", Run: s.logReport}}
	if s.keeper != nil {
		list = append(list, engine.Announcement{Name: "history", Run: s.keeper.Announce})
	}
	return list
}

// lastGood tells what is kept for the next start.
func (s *Sidecar) lastGood() *api.LastGood {
	if s.keeper == nil {
		return nil
	}
	h := s.keeper.Health()
	kept := &api.LastGood{File: h.Entry.Name, Generation: h.Generation, SavedAt: api.OptionalTime(h.SavedAt), Pending: h.Pending}
	if h.Err != nil {
		kept.Error = h.Err.Error()
	}
	return kept
}

func (s *Sidecar) watchHealth() api.Watch {
	if s.watcher == nil {
		return api.Watch{State: "off"}
	}
	h := s.watcher.Health()
	return api.Watch{
		Enabled: true, Mode: string(h.Mode), State: string(h.State), Reason: h.Reason,
		Directories: h.Directories, Events: h.Events, EventsDropped: h.Dropped,
		LastScan: api.OptionalTime(h.LastScan), NextPoll: api.OptionalTime(h.NextPoll),
	}
}

// snapshot is what the metrics tell of states.
func (s *Sidecar) snapshot() metrics.Snapshot {
	now := metrics.Snapshot{State: string(engine.StateEmpty), Watch: metrics.Watch{Mode: "off", State: "off"}}
	if s.engine != nil {
		status := s.engine.Status()
		now.State, now.Since = string(status.State), status.Since
		if s.cfg.Settings.PolicyDir == "" && status.State == engine.StateCurrent {
			now.State = "embedded"
		}
		if status.Generation != nil {
			now.Generation = status.Generation.Number()
		}
	}
	if s.watcher != nil {
		h := s.watcher.Health()
		now.Watch = metrics.Watch{
			Mode: string(h.Mode), State: string(h.State), Directories: h.Directories,
			Events: h.Events, Dropped: h.Dropped, LastScan: h.LastScan,
		}
	}
	return now
}

// countReport is the announcement that is counted and traced.
func (s *Sidecar) countReport(ctx context.Context, r engine.Report) error {
	done := metrics.Reload{Trigger: string(r.Trigger.Kind), Status: string(r.Status), Start: r.StartedAt, Duration: r.Duration}
	if r.Generation != nil {
		done.Generation, done.Revision = r.Generation.Number(), r.Generation.Revision()
	}
	for _, p := range r.Phases {
		done.Phases = append(done.Phases, metrics.Phase{Name: p.Name, Start: p.Start, Duration: p.Duration})
	}
	if r.Refused != nil {
		done.Error = r.Refused.Error()
	}
	s.metrics.ReloadDone(ctx, done)
	s.metrics.TraceReload(ctx, done)
	return nil
}

// logReport is the announcement that people read.
func (s *Sidecar) logReport(_ context.Context, r engine.Report) error {
	fields := []zap.Field{
		zap.String("trigger", string(r.Trigger.Kind)),
		zap.Duration("duration", r.Duration),
	}
	if r.Generation != nil {
		fields = append(fields, zap.Uint64("generation", r.Generation.Number()), zap.String("revision", r.Generation.Revision()))
	}
	switch r.Status {
	case engine.StatusSuccess:
		s.cfg.Logger.Info("policy reloaded", append(fields, zap.Strings("changed", r.Changed()))...)
	case engine.StatusUnchanged:
		s.cfg.Logger.Info("policy unchanged", append(fields, zap.Bool("healed", r.Healed))...)
	case engine.StatusFailed:
		lines := make([]string, 0, len(r.Refused.Diagnostics))
		for _, d := range r.Refused.Diagnostics {
			lines = append(lines, d.String())
		}
		message := "policy reload refused; the last good policy serves"
		if r.Generation == nil {
			message = "policy refused; no decisions are served until it is repaired"
		}
		s.cfg.Logger.Error(message, append(fields, zap.String("stage", string(r.Refused.Stage)), zap.Error(r.Refused), zap.Strings("diagnostics", lines))...)
	}
	return nil
}
