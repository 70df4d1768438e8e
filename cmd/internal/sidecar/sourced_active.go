package sidecar

import (
	"context"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"defenseclaw/api/bundlestatus"
	"defenseclaw/api/metrics"
	"defenseclaw/engine"
	opabundle "defenseclaw/engine/bundle"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/watcher/bundle"
)

// activations is which versions of bundles serve, and what became of the others. Safe for concurrent use.
type activations struct {
	mu      sync.Mutex
	loading map[string]bundle.Unpacked // of the tree that the engine took last; nil: there was none to take
	bundles map[string]*activatedBundle
}

// activatedBundle is one bundle.
type activatedBundle struct {
	serves   bundle.Unpacked // nil: none
	revision string          // of what serves
	since    time.Time       // when it began to
	refused  *engine.Refused // why a newer one does not; nil: none is known

	loaded uint64            // versions that began to serve
	failed map[string]uint64 // versions that did not, by the stage that refused them
}

// stageFetch stands for what is refused before the engine sees it.
const stageFetch = "fetch"

// take notes what the engine is about to load.
func (a *activations) take(src fs.FS) {
	tree, _ := src.(signedTree)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.loading = tree.bundles
}

// of is a bundle. a.mu is held.
func (a *activations) of(name string) *activatedBundle {
	if a.bundles == nil {
		a.bundles = map[string]*activatedBundle{}
	}
	if a.bundles[name] == nil {
		a.bundles[name] = &activatedBundle{failed: map[string]uint64{}}
	}
	return a.bundles[name]
}

// count notes a version that could not be unpacked.
func (a *activations) count(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of(name).failed[stageFetch]++
}

// note takes what came of an attempt, and returns the versions that serve, or those that cannot. newest are the versions that
// were fetched last.
func (a *activations) note(r engine.Report, newest map[string]bundle.Unpacked) (good, bad map[string]bundle.Unpacked) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ordered := r.Trigger.Source != nil || r.Trigger.Kind == engine.TriggerControl
	switch {
	case r.Result == engine.Failed && !ordered:
		return nil, a.fail(r.Refused, newest)
	case r.Result == engine.Failed || r.Result == engine.Held || r.Generation == nil:
		return nil, nil
	}
	for name, revision := range opabundle.Revisions(r.Generation.Data()) {
		b := a.of(name)
		now := b.serves
		if !ordered {
			now = a.loading[name]
		}
		if now == newest[name] {
			b.refused = nil
		}
		if now != b.serves || b.revision != revision || b.since.IsZero() {
			b.serves, b.revision, b.since = now, revision, r.StartedAt.Add(r.Duration).UTC()
			b.loaded++
		}
	}
	if ordered {
		return nil, nil
	}
	return a.loading, nil
}

// fail blames the versions that are new or, if none is, all. a.mu is held.
func (a *activations) fail(why *engine.Refused, newest map[string]bundle.Unpacked) map[string]bundle.Unpacked {
	blamed := a.loading
	if blamed == nil {
		blamed = newest
	}
	fresh := maps.Clone(blamed)
	maps.DeleteFunc(fresh, func(name string, v bundle.Unpacked) bool { return a.of(name).serves == v })
	if len(fresh) > 0 {
		blamed = fresh
	}
	for name := range blamed {
		if b := a.of(name); b.refused == nil || b.refused.Error() != why.Error() {
			b.refused = why
			b.failed[string(why.Stage)]++
		}
	}
	return blamed
}

// refusal is why the newest version of a bundle does not serve; empty if it does.
func (a *activations) refusal(name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.of(name); b.refused != nil {
		return b.refused.Error()
	}
	return ""
}

// describe says in OPA's words which version of a bundle serves, and why a newer one does not.
func (a *activations) describe(name string, into *bundlestatus.Bundle) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.of(name)
	into.ActiveRevision, into.LastSuccessfulActivation = b.revision, b.since
	if b.refused != nil {
		into.Code, into.Message, into.Errors = bundlestatus.ErrorCode, b.refused.Error(), errorsOf(b.refused.Diagnostics)
	}
}

// measure counts for the metrics.
func (a *activations) measure(name string, into *metrics.Bundle) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.of(name)
	into.Revision, into.Activated, into.Loaded, into.Failed = b.revision, b.since, b.loaded, maps.Clone(b.failed)
}

func errorsOf(diagnostics diagnostic.List) (all []bundlestatus.Error) {
	for _, d := range diagnostics {
		e := bundlestatus.Error{Code: d.Code, Message: d.Message}
		if d.File != "" {
			e.Location = &bundlestatus.Location{File: d.File, Row: d.Line, Col: d.Column}
		}
		all = append(all, e)
	}
	return all
}

// announceBundles tells what became of the versions that were fetched.
func (s *Sidecar) announceBundles(_ context.Context, r engine.Report) error {
	o, ok := s.origin.(*bundleOrigin)
	if !ok {
		return nil
	}
	newest := map[string]bundle.Unpacked{}
	for _, name := range o.names {
		if v := o.bundles.Newest(name); v != nil {
			newest[name] = v
		}
	}
	good, bad := o.active.note(r, newest)
	o.bundles.Served(good)
	o.bundles.Refused(bad)
	s.statusSender.Changed()
	return nil
}

// noting is the source of the engine, of which the versions are noted that it takes.
func (s *Sidecar) noting() (fs.FS, error) {
	src, err := s.marked()
	if o, ok := s.origin.(*bundleOrigin); ok {
		inner := src
		if marked, ok := src.(unprovenTree); ok {
			inner = marked.FS
		}
		o.active.take(inner)
	}
	return src, err
}

// bundlesMissing reports whether a bundle that is followed has no part in what serves.
func (s *Sidecar) bundlesMissing() bool {
	o, ok := s.origin.(*bundleOrigin)
	if !ok || s.engine == nil {
		return false
	}
	g := s.engine.Current()
	if g == nil {
		return true
	}
	there := opabundle.Revisions(g.Data())
	return slices.ContainsFunc(o.names, func(name string) bool { _, ok := there[name]; return !ok })
}
