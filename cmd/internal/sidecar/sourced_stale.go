package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/events"
	"defenseclaw/api/metrics"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/watcher/bundle"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// contacted is an [origin] that says when it heard from its source. Every origin that may be stale is one.
type contacted interface {
	// Contact is when the request was sent that the source answered last, with the reading of a clock that nobody sets; of
	// several sources, that of the one which answered the longest time ago. Zero: one never has since the start. It is
	// called often.
	Contact() time.Time
}

// Contact is a [contacted]'s.
func (o *bundleOrigin) Contact() time.Time {
	var oldest time.Duration
	for _, h := range o.bundles.Health() {
		if h.Contact == 0 {
			return time.Time{}
		}
		oldest = max(oldest, h.Contact)
	}
	return time.Now().Add(-oldest)
}

// staleness finds out when a source has not been in contact for too long, and that it is again. A source that has not
// answered since the start is stale: nobody knows how old what was kept is.
type staleness struct {
	after   time.Duration
	contact func() time.Time
	// tell is called when there is news, and first for what is so at the start. It is not called concurrently. An age of -1
	// means that there was no contact since the start.
	tell func(stale, first bool, age time.Duration)

	now atomic.Bool // it is stale

	mu     sync.Mutex // held while tell is called, so that what is told comes in order
	looked bool
}

// look compares the last contact with the time, tells what has changed, and returns when to look again.
func (s *staleness) look() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	age, left := time.Duration(-1), time.Duration(0)
	if at := s.contact(); !at.IsZero() {
		age = time.Since(at)
		left = s.after - age
	}
	stale := left <= 0
	if was := s.now.Swap(stale); was != stale || !s.looked {
		s.tell(stale, !s.looked, age)
	}
	s.looked = true
	if stale {
		// Contact is a look at memory: whoever waits for it need not wait for a tenth of what he waited already.
		return min(max(s.after/10, time.Millisecond), time.Second)
	}
	return left
}

// run looks until ctx ends.
func (s *staleness) run(ctx context.Context) error {
	timer := time.NewTimer(s.look())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			timer.Reset(s.look())
		}
	}
}

// askOften bounds the pauses between requests, and how long one may wait for news: else a source that answers would be stale
// in between. No bound is 0.
func askOften(cfg *bundle.Config, after time.Duration) {
	if after == 0 {
		return
	}
	most := after / 2
	cfg.LongPoll = shorter(cmp.Or(cfg.LongPoll, bundle.DefaultLongPoll), most)
	for name, p := range cfg.Pace {
		if p.Max != 0 {
			p.Max = min(p.Max, most)
			p.Min = min(p.Min, p.Max)
		}
		if p.LongPoll != 0 {
			p.LongPoll = shorter(p.LongPoll, most)
		}
		cfg.Pace[name] = p
	}
}

// shorter is how long a request may wait, of which servers are told whole seconds; negative: not at all.
func shorter(wait, most time.Duration) time.Duration {
	if wait = min(wait, most); wait < time.Second {
		return -1
	}
	return wait
}

// makeStaleness makes what the settings ask for; nil, if nothing.
func (s *Sidecar) makeStaleness() error {
	set := s.cfg.Settings.Source.Stale
	if set.After == 0 || s.origin == nil {
		return nil
	}
	from, ok := s.origin.(contacted)
	if !ok {
		return fmt.Errorf("source %s: source.stale is set, and nobody knows when such a source answered last", s.cfg.Settings.Source.URL)
	}
	s.staleness = &staleness{after: set.After, contact: from.Contact, tell: s.tellStale}
	s.staleness.now.Store(true) // until it has answered
	s.setStale(true)
	return nil
}

// setStale does what the settings ask for.
func (s *Sidecar) setStale(stale bool) {
	action := s.cfg.Settings.Source.Stale.Action
	s.staleSource.Set(stale && action == settings.StaleRefuse, stale && action == settings.StaleUnready)
}

// lookAtContact has what a request just found out count at once.
func (s *Sidecar) lookAtContact() {
	if s.staleness != nil {
		s.staleness.look()
	}
}

// runStaleness begins when the first load has ended.
func (s *Sidecar) runStaleness(ctx context.Context, loaded <-chan struct{}) error {
	if !waitFor(ctx, loaded) {
		return nil
	}
	return s.staleness.run(ctx)
}

// The transitions of the subsystem source that are about contact.
const (
	transitionStale = "source-stale"
	transitionFresh = "source-fresh"
)

// tellStale does what the settings ask for while the source is stale, and says so: in an event, on record and in the log.
func (s *Sidecar) tellStale(stale, first bool, age time.Duration) {
	set := s.cfg.Settings.Source
	s.setStale(stale)
	if s.envoy != nil {
		s.envoy.TellHealth()
	}
	if first && !stale {
		return // as everybody expects
	}
	transition, level, severity := transitionFresh, zap.InfoLevel, ""
	if stale {
		transition, level, severity = transitionStale, zap.WarnLevel, audit.SeverityWarn
		if set.Stale.Action == settings.StaleRefuse {
			level = zap.ErrorLevel
		}
	}
	message := "the source answers"
	switch {
	case stale && age < 0:
		message = "the source has not answered since the start"
	case stale:
		message = fmt.Sprintf("the source has not answered for %s", age.Round(time.Millisecond))
	}
	details := map[string]any{"url": set.URL, "action": set.Stale.Action, "after_seconds": set.Stale.After.Seconds()}
	if age >= 0 {
		details["age_seconds"] = age.Seconds()
	}
	s.events.Publish(events.Event{Subsystem: "source", Transition: transition, Details: details})
	_, _ = daemon.SdNotify(false, "STATUS="+s.doing()) // systemd may be away
	s.cfg.Logger.Log(level, message, zap.String("subsystem", "source"), zap.String("transition", transition),
		zap.String("url", set.URL), zap.String("action", set.Stale.Action), zap.Float64("after_seconds", set.Stale.After.Seconds()))
	s.record(context.Background(), audit.Record{
		Action: transition, Actor: s.sourceActor(), Target: set.URL, Severity: severity, Message: message, Details: audit.JSON(details),
	})
}

// sourceContact is how long ago the request was sent that the source answered last; false if it never has since the start, or
// nobody knows.
func (s *Sidecar) sourceContact() (time.Duration, bool) {
	from, ok := s.origin.(contacted)
	if !ok {
		return 0, false
	}
	at := from.Contact()
	return max(0, time.Since(at)), !at.IsZero()
}

// sourceMetrics is what the metrics show; zero without a source.
func (s *Sidecar) sourceMetrics() metrics.Source {
	if s.origin == nil {
		return metrics.Source{}
	}
	age, ok := s.sourceContact()
	if !ok {
		age = time.Since(s.began)
	}
	return metrics.Source{Age: age, Stale: s.staleness != nil && s.staleness.now.Load()}
}

// addContact completes the source in GET /policy/status.
func (s *Sidecar) addContact(to *api.Source) {
	if age, ok := s.sourceContact(); ok {
		seconds := age.Seconds()
		to.AgeSeconds = &seconds
	}
	if s.staleness != nil {
		set := s.cfg.Settings.Source.Stale
		to.Stale = &api.SourceStale{AfterSeconds: set.After.Seconds(), Action: set.Action, Now: s.staleness.now.Load()}
	}
}
