package sidecar

import (
	"context"
	"errors"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
	"defenseclaw/watcher"

	"go.uber.org/zap"
)

// firstLoad loads the directory or, where it is broken, the newest sound policy of an earlier run.
func (s *Sidecar) firstLoad(ctx context.Context) {
	if s.engine == nil {
		return
	}
	s.reload(ctx, engine.Trigger{Kind: engine.TriggerStartup})
	if s.engine.Current() != nil || s.history == nil {
		return
	}
	found, err := s.history.Newest(ctx, func(f history.Found) error {
		_, err := s.engine.Reload(ctx, engine.Trigger{Kind: engine.TriggerStartup, Source: f.FS})
		return err
	})
	for _, skipped := range found.Skipped {
		s.cfg.Logger.Warn("a saved policy was skipped", zap.String("file", skipped.Entry.Name), zap.Error(skipped.Err))
	}
	switch {
	case err == nil:
		s.cfg.Logger.Warn("the last good policy of an earlier run serves", zap.String("file", found.Entry.Name))
	case !errors.Is(err, history.ErrNone):
		s.cfg.Logger.Error("the saved policies of earlier runs could not be read", zap.Error(err))
	}
}

// reloadOnChange asks the engine to reload after each change. While a reload runs, the watcher merges
// the changes that it sees.
func (s *Sidecar) reloadOnChange(ctx context.Context, loaded <-chan struct{}, changes <-chan watcher.Change) error {
	if !waitFor(ctx, loaded) {
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case change := <-changes:
			kind := engine.TriggerWatch
			if change.Polled {
				kind = engine.TriggerPoll
			}
			s.cfg.Logger.Debug("files changed",
				zap.Strings("paths", change.Paths), zap.Bool("rescan", change.Rescan), zap.String("reason", change.Reason))
			s.reload(ctx, engine.Trigger{Kind: kind, Paths: change.Paths, Recheck: change.Rescan})
		}
	}
}

// reloadOnHUP asks the engine to reload at each SIGHUP.
func (s *Sidecar) reloadOnHUP(ctx context.Context, loaded <-chan struct{}) error {
	if !waitFor(ctx, loaded) {
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.cfg.HUP:
			s.notify(notifyReloading, "reloading")
			if s.engine != nil {
				s.reload(ctx, engine.Trigger{Kind: engine.TriggerSignal, Actor: "SIGHUP"})
			}
			if ctx.Err() == nil { // STOPPING=1 must remain the last notification
				s.notify(notifyReady, s.doing())
			}
		}
	}
}

// waitFor reports whether c was closed before ctx ended.
func waitFor(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}

// reload drops the result: the announcements have reported it.
func (s *Sidecar) reload(ctx context.Context, trigger engine.Trigger) {
	_, err := s.engine.Reload(ctx, trigger)
	var refused *engine.Refused
	if err != nil && !errors.As(err, &refused) && ctx.Err() == nil {
		s.cfg.Logger.Error("a reload could not be requested", zap.Error(err))
	}
}
