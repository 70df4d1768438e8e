package sidecar

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/engine"
	"defenseclaw/engine/history"
	"defenseclaw/watcher"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// Run serves until ctx ends, then drains requests and stops the parts: those that ask, the engine
// that is asked, and last those that keep and export what it made. ready is called once the first load has ended, well or not. The error is nil
// after a clean stop.
func (s *Sidecar) Run(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, s.cfg.Settings.Unpublish(), s.release()) }()
	upstreamCtx, stopUpstream := context.WithCancel(ctx)
	defer stopUpstream()
	downstream, stopDownstream := context.WithCancel(context.WithoutCancel(ctx))
	var down, last errgroup.Group
	if s.engine != nil {
		down.Go(func() error { return s.engine.Run(downstream) })
	}
	lastCtx, stopLast := context.WithCancel(context.WithoutCancel(ctx))
	last.Go(func() error { return s.metrics.Run(lastCtx) })
	last.Go(func() error { return s.runAudit(lastCtx) })
	s.record(ctx, audit.Record{Action: audit.ActionStart, Target: s.Addr(), Message: "version " + s.cfg.Version})
	if s.decisions != nil {
		last.Go(func() error { return s.decisions.Run(lastCtx) })
	}
	if s.keeper != nil {
		last.Go(func() error { return s.keeper.Run(lastCtx) })
	}

	loaded := make(chan struct{}) // the first load has ended: what came before is part of it
	up, upstream := errgroup.WithContext(upstreamCtx)
	up.Go(func() error { return s.server.Run(upstream, s.listener) })
	if s.envoy != nil {
		up.Go(func() error { return s.envoy.Run(upstream, s.envoyListener) })
	}
	up.Go(func() error { return s.events.Run(upstream) })
	if s.judge != nil {
		up.Go(func() error { return s.judge.Run(upstream) })
	}
	up.Go(func() error {
		where := settings.Gateway{PID: os.Getpid(), APIAddr: s.Addr(), TLSCert: absolute(s.cfg.Settings.TLSCert), StartedAt: time.Now().UTC()}
		if err := s.cfg.Settings.Publish(where); err != nil {
			return err
		}
		s.firstLoad(upstream)
		close(loaded)
		s.tellSystemd(notifyReady, s.doing())
		ready()
		return nil
	})
	up.Go(func() error { s.reloadOnHUP(upstream, loaded); return nil })
	if s.watcher != nil {
		changes := make(chan watcher.Change)
		up.Go(func() error { return s.watcher.Run(upstream, changes) })
		up.Go(func() error { s.reloadOnChange(upstream, loaded, changes); return nil })
	}
	up.Go(func() error {
		if waitFor(upstream, loaded) {
			s.runWatchdog(upstream)
		}
		<-upstream.Done()
		s.tellSystemd(notifyStopping, "draining requests")
		return nil
	})
	err = up.Wait()
	stopDownstream()
	err = errors.Join(err, down.Wait())
	s.record(ctx, stopRecord(err))
	stopLast()
	return errors.Join(err, last.Wait())
}

// runAudit runs the audit log. What it cannot write to the end is kept in the program's log at least.
func (s *Sidecar) runAudit(ctx context.Context) error {
	err := s.audit.Run(ctx)
	var unwritten *audit.UnwrittenError
	if errors.As(err, &unwritten) {
		for _, r := range unwritten.Records {
			s.cfg.Logger.Error("an audit record could not be written", zap.Any("record", r))
		}
	}
	return err
}

// record appends one of the sidecar's own records, whose failure stops nothing.
func (s *Sidecar) record(ctx context.Context, r audit.Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := s.audit.Append(ctx, r); err != nil {
		s.cfg.Logger.Error("an audit record is not on disk", zap.String("action", r.Action), zap.Error(err))
	}
}

const recordTimeout = 5 * time.Second

func stopRecord(err error) audit.Record {
	r := audit.Record{Action: audit.ActionStop}
	if err != nil {
		r.Outcome, r.Message = audit.OutcomeFailed, err.Error()
	}
	return r
}

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
		s.cfg.Logger.Warn("a kept policy was passed over", zap.String("file", skipped.Entry.Name), zap.Error(skipped.Err))
	}
	switch {
	case err == nil:
		s.cfg.Logger.Warn("the last good policy of an earlier run serves", zap.String("file", found.Entry.Name))
	case !errors.Is(err, history.ErrNone):
		s.cfg.Logger.Error("no policy of an earlier run could be looked for", zap.Error(err))
	}
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
			s.reload(ctx, engine.Trigger{Kind: kind, Paths: change.Paths, Recheck: change.Rescan})
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
			s.tellSystemd(notifyReloading, "reloading")
			if s.engine != nil {
				s.reload(ctx, engine.Trigger{Kind: engine.TriggerSignal, Actor: "SIGHUP"})
			}
			if ctx.Err() == nil { // else it is stopping, which is the last word
				s.tellSystemd(notifyReady, s.doing())
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

// absolute is for those who read gateway.json elsewhere.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
