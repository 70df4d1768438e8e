package sidecar

import (
	"context"
	"errors"

	"defenseclaw/engine"
	"defenseclaw/watcher"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// Run serves until ctx ends, then drains requests and stops the parts, those that ask before the
// one that is asked. ready is called once the first load has ended, well or not. The error is nil
// after a clean stop.
func (s *Sidecar) Run(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, unpublish(s.cfg.Settings.DataDir), s.release()) }()
	upstreamCtx, stopUpstream := context.WithCancel(ctx)
	defer stopUpstream()
	downstream, stopDownstream := context.WithCancel(context.WithoutCancel(ctx))
	down := errgroup.Group{}
	if s.engine != nil {
		down.Go(func() error { return s.engine.Run(downstream) })
	}

	loaded := make(chan struct{}) // the first load has ended: what came before is part of it
	up, upstream := errgroup.WithContext(upstreamCtx)
	up.Go(func() error { return s.server.Run(upstream, s.listener) })
	up.Go(func() error {
		if err := publish(s.cfg.Settings.DataDir, s.Addr()); err != nil {
			return err
		}
		s.firstLoad(upstream)
		close(loaded)
		ready()
		return nil
	})
	up.Go(func() error { s.reloadOnHUP(upstream, loaded); return nil })
	if s.watcher != nil {
		changes := make(chan watcher.Change)
		up.Go(func() error { return s.watcher.Run(upstream, changes) })
		up.Go(func() error { s.reloadOnChange(upstream, loaded, changes); return nil })
	}
	err = up.Wait()
	stopDownstream()
	return errors.Join(err, down.Wait())
}

func (s *Sidecar) firstLoad(ctx context.Context) {
	if s.engine == nil {
		return
	}
	s.reload(ctx, engine.Trigger{Kind: engine.TriggerStartup})
}

// reloadOnChange joins watcher and engine. While a reload runs, the watcher merges what it sees.
func (s *Sidecar) reloadOnChange(ctx context.Context, loaded <-chan struct{}, changes <-chan watcher.Change) {
	if !waitFor(ctx, loaded) {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case change := <-changes:
			kind := engine.TriggerWatch
			if change.Polled {
				kind = engine.TriggerPoll
			}
			s.cfg.Logger.Debug("files changed", zap.Strings("paths", change.Paths), zap.Bool("rescan", change.Rescan), zap.String("reason", change.Reason))
			s.reload(ctx, engine.Trigger{Kind: kind, Paths: change.Paths})
		}
	}
}

func (s *Sidecar) reloadOnHUP(ctx context.Context, loaded <-chan struct{}) {
	if !waitFor(ctx, loaded) {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.cfg.HUP:
			if s.engine != nil {
				s.reload(ctx, engine.Trigger{Kind: engine.TriggerSignal, Actor: "SIGHUP"})
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

// reload drops the result: whoever cares was told by the announcements.
func (s *Sidecar) reload(ctx context.Context, trigger engine.Trigger) {
	_, err := s.engine.Reload(ctx, trigger)
	var refused *engine.Refused
	if err != nil && !errors.As(err, &refused) && ctx.Err() == nil {
		s.cfg.Logger.Error("reload could not be asked for", zap.Error(err))
	}
}
