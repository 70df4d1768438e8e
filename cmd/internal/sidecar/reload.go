package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/engine"
	"defenseclaw/engine/history"
	"defenseclaw/watcher"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// firstLoad loads the directory or, where it is broken, the newest sound policy of an earlier run.
func (s *Sidecar) firstLoad(ctx context.Context) {
	if s.engine == nil {
		return
	}
	s.firstContact(ctx)
	if s.control != nil && s.control.Begin(ctx, func(f history.Found) error { return s.mayRestore(ctx, f) }) {
		if m := s.loading; m.died != nil { // what is ordered serves already; the files are only looked at
			m.holding.Store(m.deadly())
			defer m.holding.Store(false)
		}
		s.reload(ctx, engine.Trigger{Kind: engine.TriggerStartup})
		return
	}
	if s.loading != nil && s.loading.died != nil {
		s.loadAfterDeath(ctx)
		return
	}
	if s.lacksServedFiles(ctx) {
		s.restore(ctx)
	}
	s.reload(ctx, engine.Trigger{Kind: engine.TriggerStartup})
	if s.engine.Current() == nil {
		s.restore(ctx)
	}
}

// restore serves the newest sound policy of an earlier run, if there is one.
func (s *Sidecar) restore(ctx context.Context) {
	if s.restoreKept(ctx) || s.history == nil {
		return
	}
	found, err := s.history.Newest(ctx, func(f history.Found) error {
		if err := s.mayRestore(ctx, f); err != nil {
			return err
		}
		_, err := s.engine.Reload(ctx, engine.Trigger{Kind: engine.TriggerStartup, Source: f.FS})
		return err
	})
	for _, skipped := range found.Skipped {
		s.cfg.Logger.Warn("a saved policy was skipped", zap.String("file", skipped.Entry.Name), zap.Error(skipped.Err))
	}
	switch {
	case err == nil:
		s.cfg.Logger.Warn("the last good policy of an earlier run serves", zap.String("file", found.Entry.Name))
		s.recordRestore(ctx, found)
	case !errors.Is(err, history.ErrNone):
		s.cfg.Logger.Error("the saved policies of earlier runs could not be read", zap.Error(err))
	}
}

// clockTolerance is by how much the name of a saved policy may be ahead of what the audit log says, or of the clock.
const clockTolerance = time.Minute

// mayRestore refuses a saved policy that is not known to have served: files in the data directory are easier to put there
// than records into the chain of the audit log.
func (s *Sidecar) mayRestore(ctx context.Context, f history.Found) error {
	if err := s.signed.Accept(f.Info.Verified); err != nil {
		return fmt.Errorf("it is not restored: %w", err)
	}
	saved := f.Entry.Time
	if f.Info.LoadedAt.After(saved) {
		saved = f.Info.LoadedAt
	}
	if now := time.Now(); saved.After(now.Add(clockTolerance)) {
		return fmt.Errorf("it is not restored: it is from the future, %s, and it is %s", saved.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	served, err := s.audit.Served(ctx, f.Info.Revision)
	if err != nil {
		return fmt.Errorf("it is not restored: %w", err)
	}
	if !served.IsZero() && saved.After(served.Add(clockTolerance)) {
		return fmt.Errorf("it is not restored: it is named for %s, and served last before %s", saved.Format(time.RFC3339), served.Format(time.RFC3339))
	}
	return nil
}

// recordRestore appends a record of a restore, in addition to that of its reload.
func (s *Sidecar) recordRestore(ctx context.Context, found history.Found) {
	skipped := map[string]string{}
	for _, e := range found.Skipped {
		skipped[e.Entry.Name] = e.Err.Error()
	}
	s.record(ctx, audit.Record{
		Action: audit.ActionPolicyRestored, Severity: audit.SeverityWarn, Target: s.cfg.Settings.Place(), RevisionTo: found.Info.Revision,
		Generation: s.generation(), Message: "a policy of an earlier run serves: " + found.Entry.Name,
		Details: audit.JSON(map[string]any{
			"file": found.Entry.Name, "saved_at": found.Entry.Time, "saved_by_version": found.Info.Version, "skipped": skipped,
		}),
	})
}

// maxAsked bounds the reloads that changes have asked for while one is reviewed.
const maxAsked = 16

// reloadOnChange asks the engine to reload after each change. While a reload runs, the watcher merges the changes that it
// sees; where changes are reviewed before they serve, the next one is asked for at once, since it ends that review.
func (s *Sidecar) reloadOnChange(ctx context.Context, loaded <-chan struct{}, changes <-chan watcher.Change) error {
	if !waitFor(ctx, loaded) {
		return nil
	}
	var asked errgroup.Group
	asked.SetLimit(maxAsked)
	defer asked.Wait() //nolint:errcheck // there is none
	for {
		select {
		case <-ctx.Done():
			return nil
		case change := <-changes:
			if s.loading != nil && s.loading.deadly() {
				continue // a rescan: nothing has changed
			}
			kind := engine.TriggerWatch
			if change.Polled {
				kind = engine.TriggerPoll
			}
			if len(change.Open) > 0 {
				s.cfg.Logger.Warn("files are loaded that a process still has open for writing", zap.Strings("files", change.Open))
			}
			s.cfg.Logger.Debug("files changed",
				zap.Strings("paths", change.Paths), zap.Bool("rescan", change.Rescan), zap.String("reason", change.Reason))
			trigger := engine.Trigger{
				Kind: kind, Actor: s.sourceActor(), Paths: change.Paths, Recheck: change.Rescan, Tests: change.Rescan || slices.ContainsFunc(change.Paths, isTest),
			}
			if s.reviewer.before() {
				asked.Go(func() error { s.reviewer.look(s.reload(ctx, trigger)); return nil })
			} else {
				s.reviewer.look(s.reload(ctx, trigger))
			}
		}
	}
}

// reloadOnHUP reads config.yaml and asks the engine to reload at each SIGHUP.
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
			_ = s.rereadConfig(ctx, reread{trigger: string(engine.TriggerSignal), actor: "SIGHUP", asked: true}) // it has announced an error
			s.warnOfAppeared()
			if s.engine != nil {
				_ = s.refresh(ctx) // its error is reported
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

func isTest(file string) bool { return strings.HasSuffix(file, "_test.rego") }

// reload drops an error: the announcements have reported it.
func (s *Sidecar) reload(ctx context.Context, trigger engine.Trigger) engine.Report {
	report, err := s.engine.Reload(ctx, trigger)
	var refused *engine.Refused
	if err != nil && !errors.As(err, &refused) && ctx.Err() == nil {
		s.cfg.Logger.Error("a reload could not be requested", zap.Error(err))
	}
	return report
}
