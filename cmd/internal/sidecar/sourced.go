package sidecar

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/engine"
	"defenseclaw/watcher"

	"go.uber.org/zap"
)

// origin is where policy comes from if not from a directory. Its methods are safe for concurrent use, but for Run, which is
// called once.
type origin interface {
	// FS is the directory of the newest policy, or an error that says why there is none.
	FS() (fs.FS, error)
	// Run follows the policy until ctx ends, and sends a change for each new version. It returns nil when ctx ends.
	Run(ctx context.Context, out chan<- watcher.Change) error
	// Refresh returns when FS is as new as the origin was when it was called. It sends no change.
	Refresh(ctx context.Context) error
	// Health is the source in GET /policy/status.
	Health() *api.Source
	// Actor names what a change is from, in the audit log.
	Actor() string
}

// origins make what follows a source, by the scheme of its URL.
var origins = map[string]func(*Sidecar) (origin, error){
	"http":  newBundleOrigin,
	"https": newBundleOrigin,
	"oci":   newOCIOrigin,

	settings.OPAScheme: newConfiguredOrigin,
	"nats":             newFleetOrigin,
	"tls":              newFleetOrigin,
}

// makeSource makes what follows the source, if it is no directory.
func (s *Sidecar) makeSource() (err error) {
	place := s.cfg.Settings.Source.URL
	if place == "" {
		return nil
	}
	scheme, _, _ := strings.Cut(place, "://")
	create, ok := origins[scheme]
	if !ok {
		return fmt.Errorf("source %s: its scheme is %q: one of %q was expected", place, scheme, slices.Sorted(maps.Keys(origins)))
	}
	if s.origin, err = create(s); err != nil {
		return fmt.Errorf("source %s: %w", place, err)
	}
	return s.makeStaleness()
}

// followSource begins when the first load has ended, which took what was there.
func (s *Sidecar) followSource(ctx context.Context, loaded <-chan struct{}, out chan<- watcher.Change) error {
	if early, ok := s.origin.(earlyOrigin); ok {
		return early.RunEarly(ctx, loaded)
	}
	if !waitFor(ctx, loaded) {
		return nil
	}
	return s.origin.Run(ctx, out)
}

// earlyOrigin is an origin that runs during the first load, for which it fetches what is new.
type earlyOrigin interface {
	// RunEarly is Run for an origin that has its changes loaded itself, and does so once loaded is closed.
	RunEarly(ctx context.Context, loaded <-chan struct{}) error
}

// keptOrigin is an origin that keeps what served last, and knows who signed it.
type keptOrigin interface {
	LastGood() (tree fs.FS, revision string) // nil: there is none
}

// restoreKept serves what the source keeps of an earlier run, and reports whether it does.
func (s *Sidecar) restoreKept(ctx context.Context) bool {
	o, ok := s.origin.(keptOrigin)
	if !ok {
		return false
	}
	tree, revision := o.LastGood()
	if tree == nil {
		return false
	}
	if _, err := s.engine.Reload(ctx, engine.Trigger{Kind: engine.TriggerStartup, Source: tree}); err != nil {
		s.cfg.Logger.Warn("what the source kept of an earlier run was skipped", zap.String("revision", revision), zap.Error(err))
		return false
	}
	s.cfg.Logger.Warn("the last good policy of an earlier run serves", zap.String("source", s.cfg.Settings.Place()), zap.String("revision", revision))
	s.record(ctx, audit.Record{
		Action: audit.ActionPolicyRestored, Severity: audit.SeverityWarn, Target: s.cfg.Settings.Place(), RevisionTo: revision,
		Generation: s.generation(), Message: "a policy of an earlier run serves, as the source kept it",
	})
	return true
}

// sourceActor names what a change is from; empty for a directory, whose files have owners.
func (s *Sidecar) sourceActor() string {
	if s.origin == nil {
		return ""
	}
	return s.origin.Actor()
}

// firstContact waits until the source has answered once or is slow to: loading what was kept, and then what is new, takes
// twice the time.
func (s *Sidecar) firstContact(ctx context.Context) {
	if s.origin == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, firstContactTimeout)
	defer cancel()
	_ = s.origin.Refresh(ctx) // what it came to is in the health, which is reported
	s.lookAtContact()
}

const firstContactTimeout = 2 * time.Second

// refresh fetches what a reload that somebody asks for is about.
func (s *Sidecar) refresh(ctx context.Context) error {
	if s.origin == nil {
		return nil
	}
	defer s.lookAtContact()
	return s.origin.Refresh(ctx)
}

// sourceHealth is the source in GET /policy/status; nil for a directory.
func (s *Sidecar) sourceHealth() *api.Source {
	if s.origin == nil {
		return nil
	}
	h := s.origin.Health()
	s.addContact(h)
	return h
}
