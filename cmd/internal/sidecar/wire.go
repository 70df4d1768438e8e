package sidecar

import (
	"crypto/tls"
	"errors"
	"fmt"

	"defenseclaw/api"
	"defenseclaw/api/events"
	"defenseclaw/api/metrics"
	"defenseclaw/engine"
	"defenseclaw/engine/source"
	"defenseclaw/watcher"

	"go.uber.org/zap"
)

// wire makes the parts and joins them. The two lists of the engine are the whole extension surface.
func (s *Sidecar) wire() (err error) {
	set := s.cfg.Settings
	s.metrics, err = metrics.New(metrics.Config{
		Version: s.cfg.Version, Routes: api.Routes(), VerdictTTL: set.Judge.CacheTTL, Snapshot: s.snapshot,
		OnError: func(err error) { s.cfg.Logger.Warn("metrics or traces could not be exported", zap.Error(err)) },
	})
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if s.events, err = events.New(events.Config{}); err != nil {
		return err
	}
	if err := errors.Join(s.makeJudge(), s.makeDecisionLog()); err != nil {
		return err
	}
	if !set.ValidateOnly {
		s.engine, err = engine.New(engine.Config{
			Source: s.source, Limits: source.Limits{FileBytes: set.MaxFileBytes, Files: set.MaxFiles, Depth: set.MaxDepth}, Announcements: s.announcements(),
			DecisionTimeout: set.DecisionTimeout, MostDecisions: set.MaxDecisions,
		})
		if err != nil {
			return err
		}
	}
	if err := s.makeWatcher(); err != nil {
		return err
	}
	authzen, err := engine.ParsePath(set.AuthZENPolicy)
	if err != nil {
		return err
	}
	s.server, err = api.New(api.Config{
		Engine:    s.engine,
		Source:    s.source,
		PolicyDir: set.PolicyDir,
		Token:     s.token,
		BindHost:  s.bindHost(),
		Watch:     s.watchHealth,
		LastGood:  s.lastGood,
		Metrics:   s.metrics,
		Audit:     s.audit,
		Judge:     s.judge,
		Events:    s.events,
		AuthZEN:   authzen,
		Decisions: s.decisions,
		Validated: s.announceValidated,
		Version:   s.cfg.Version,
		Logger:    s.cfg.Logger,
		TLS:       s.tlsConfig(),

		RequestsPerSecond: set.RateLimit,
	})
	return err
}

// makeWatcher makes the watcher where there is a directory to watch.
func (s *Sidecar) makeWatcher() (err error) {
	set := s.cfg.Settings
	if s.engine == nil || set.PolicyDir == "" || !set.Watch {
		return nil
	}
	s.watcher, err = watcher.New(watcher.Config{
		Root:              set.PolicyDir,
		Relevant:          source.Relevant,
		Mode:              watcher.Mode(set.WatchMode),
		Debounce:          set.Debounce,
		PollInterval:      set.PollInterval,
		SafetyInterval:    set.SafetyInterval,
		FullCheckInterval: set.FullCheckInterval,
		MaxDepth:          set.MaxDepth,
		HealthChanged:     s.tellWatch,
	})
	return err
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
	kept := s.audit.Health()
	now := metrics.Snapshot{
		State: string(engine.StateEmpty), Watch: metrics.Watch{Mode: "off", State: "off"},
		Audit:     metrics.Audit{Written: kept.Written, Lost: kept.Lost, Backlog: kept.Backlog},
		Decisions: s.decisionLogHealth(),
	}
	if s.engine != nil {
		status := s.engine.Status()
		now.State, now.Since = string(status.State), status.Since
		if s.cfg.Settings.PolicyDir == "" && status.State == engine.StateCurrent {
			now.State = "embedded"
		}
		now.Generation = s.generation()
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

// generation is the number of the generation that serves, 0 when none does.
func (s *Sidecar) generation() uint64 {
	if s.engine == nil {
		return 0
	}
	if g := s.engine.Current(); g != nil {
		return g.Number()
	}
	return 0
}

func (s *Sidecar) tlsConfig() *tls.Config {
	if s.certificates == nil {
		return nil
	}
	return s.certificates.config()
}
