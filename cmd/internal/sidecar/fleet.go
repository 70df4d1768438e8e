package sidecar

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/metrics"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/watcher"
	"defenseclaw/watcher/fleet"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/record"

	"go.uber.org/zap"
)

// fleetOrigin follows a channel of a fleet. What becomes of a release is acknowledged to the channel.
type fleetOrigin struct {
	s     *Sidecar
	url   string
	name  string // of the agent
	agent *fleet.Agent

	mu     sync.Mutex // guards the fields below
	serves string     // a revision
	since  metrics.Decisions
	before metrics.Latency
}

func newFleetOrigin(s *Sidecar) (origin, error) {
	set := s.cfg.Settings.Source
	if s.signed != nil {
		return nil, errors.New("signatures of files are asked for, which are those of directories and bundles: the records of a channel are signed by --source-keys")
	}
	o := &fleetOrigin{s: s, url: set.URL, name: set.Agent}
	if o.name == "" {
		o.name = hostName()
	}
	servers, channel := settings.ChannelOf(set.URL)
	limits := s.limits()
	var err error
	o.agent, err = fleet.New(fleet.Config{
		Servers: servers, Channel: channel, Agent: o.name, Labels: set.Labels, Version: s.cfg.Version,
		Keys: set.Keys, Creds: set.Creds, CA: set.CA, Domain: set.Domain,
		Dir: s.cfg.Settings.SourceDir(set.URL), Poll: set.Poll, Limits: delta.Limits{Files: limits.Files},
		Revision: fleetRevision, Tree: fleetTree, Apply: o.apply, Check: o.check, Counters: o.counters, Tell: o.tell,
		Stale: func() record.Stale { return record.Stale{After: set.Stale.After.Seconds(), Action: set.Stale.Action} },
	})
	return o, err
}

// hostName is the host's as the name of an agent may be.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if record.CheckName("", string(r)) != nil {
			return '-'
		}
		return r
	}, name)
}

// FS is an [origin]'s.
func (o *fleetOrigin) FS() (fs.FS, error) {
	offer, err := o.agent.Offered()
	if err != nil {
		return nil, err
	}
	return releaseOf(offer), nil
}

// Run is an [origin]'s. What a load comes to is acknowledged, so the agent has it made itself, and out gets nothing.
func (o *fleetOrigin) Run(ctx context.Context, _ chan<- watcher.Change) error {
	loaded := make(chan struct{})
	close(loaded)
	return o.agent.Run(ctx, loaded)
}

// RunEarly is an [earlyOrigin]'s.
func (o *fleetOrigin) RunEarly(ctx context.Context, loaded <-chan struct{}) error {
	return o.agent.Run(ctx, loaded)
}

// Contact is a [contacted]'s.
func (o *fleetOrigin) Contact() time.Time { return o.agent.Contact() }

// LastGood is a [keptOrigin]'s.
func (o *fleetOrigin) LastGood() (fs.FS, string) { return o.agent.LastGood() }

// Refresh is an [origin]'s.
func (o *fleetOrigin) Refresh(ctx context.Context) error { return o.agent.Refresh(ctx) }

// Actor is an [origin]'s.
func (o *fleetOrigin) Actor() string { return "source: " + o.url }

// apply has what the agent offers loaded.
func (o *fleetOrigin) apply(ctx context.Context, change watcher.Change) fleet.Outcome {
	if o.s.loading != nil && o.s.loading.deadly() {
		return fleet.Outcome{Serves: o.serving(), Err: errHeld}
	}
	report, err := o.s.engine.Reload(ctx, engine.Trigger{Kind: engine.TriggerWatch, Actor: o.Actor(), Paths: change.Paths, Recheck: change.Rescan})
	if err != nil && report.Refused == nil && ctx.Err() == nil {
		o.s.cfg.Logger.Error("a reload could not be requested", zap.Error(err))
	}
	outcome := fleet.Outcome{Serves: o.serving(), Err: err}
	var unsigned *unsignedError
	switch {
	case errors.As(err, &unsigned):
		outcome.Code = record.CodeHash
	case report.Refused != nil:
		outcome.Err, outcome.Code = &refusedError{report.Refused}, codeOf(report.Refused)
	case report.Result == engine.Held:
		outcome.Waiting = o.orders()
	}
	return outcome
}

// check loads a release that may serve later.
func (o *fleetOrigin) check(ctx context.Context, release fleet.Offer) (record.Code, error) {
	_, _, err := o.s.engine.DryRun(ctx, engine.Trigger{Kind: engine.TriggerWatch, Source: releaseOf(release)})
	var refused *engine.Refused
	if errors.As(err, &refused) {
		return codeOf(refused), &refusedError{refused}
	}
	return record.CodePolicy, err
}

// serving is the revision that serves.
func (o *fleetOrigin) serving() string {
	if g := o.s.engine.Current(); g != nil {
		return g.Revision()
	}
	return ""
}

// announce is the last announcement: whatever brought a generation to serve, the channel is to know.
func (o *fleetOrigin) announce(_ context.Context, r engine.Report) error {
	if r.Generation == nil {
		return nil
	}
	revision, why := r.Generation.Revision(), ""
	if r.Trigger.Kind == engine.TriggerControl || r.Trigger.Source != nil {
		why = o.orders()
	}
	before := o.latency() // which asks all of the sidecar, so without the lock
	o.mu.Lock()
	if o.serves != revision {
		o.serves, o.since, o.before = revision, o.s.metrics.Decisions(), before
	}
	o.mu.Unlock()
	o.agent.Serves(revision, why)
	return nil
}

// orders says why the sidecar serves something else than the channel asks for.
func (o *fleetOrigin) orders() string {
	if o.s.control == nil {
		return ""
	}
	now := o.s.control.Status()
	var text string
	switch {
	case now.Confirming != nil:
		text = "a change waits on this sidecar for its confirmation"
	case now.Pinned != nil:
		text = "this sidecar was told to keep what it serves (policy resume ends that)"
	case now.Held != nil:
		text = "it waits on this sidecar for an approval (policy review shows why)"
	default:
		return "this sidecar serves a policy of an earlier run"
	}
	if now.Actor != "" {
		text += ", by " + now.Actor
	}
	if now.Reason != "" {
		text += ": " + now.Reason
	}
	return text
}

// unsignedError refuses what is not what a trusted key signed.
type unsignedError struct{ revision string }

func (e *unsignedError) Error() string {
	return "the revision " + e.revision + " is none that the channel has signed: are files left out here that the publisher had?"
}

// checks judge each candidate.
func (s *Sidecar) checks() []engine.Check {
	all := []engine.Check{s.schema.Check()}
	if o, ok := s.origin.(*fleetOrigin); ok {
		all = append(all, engine.Check{Name: "fleet", Run: o.signedOnly, FilesOnly: true})
	}
	return all
}

// signedOnly is a check of what comes from the channel.
func (o *fleetOrigin) signedOnly(_ context.Context, candidate, _ *engine.Generation) error {
	if revision := candidate.Revision(); !o.agent.Signed(revision) {
		return &unsignedError{revision}
	}
	return nil
}

// latency is how long decisions took. Without it an acknowledgement lacks one number, which decides nothing.
func (o *fleetOrigin) latency() metrics.Latency {
	l, err := o.s.metrics.Latency()
	if err != nil {
		o.s.cfg.Logger.Warn("the latency of decisions is not acknowledged", zap.Error(err))
	}
	return l
}

// counters are of the time since what serves does.
func (o *fleetOrigin) counters() record.Counters {
	now := o.s.metrics.Decisions()
	o.mu.Lock()
	revision, since, before := o.serves, o.since, o.before
	o.mu.Unlock()
	c := record.Counters{Decisions: now.All - since.All, Errors: now.Errors - since.Errors, Denied: now.Denied - since.Denied}
	c.P99 = o.latency().Since(before).P99()
	if j := o.s.reviewer.lastOf(revision); j != nil && j.Evidence.Replay != nil {
		for _, n := range j.Evidence.Replay.Flips {
			c.Flips += uint64(max(n, 0)) //nolint:gosec // it is not negative
		}
		c.Replayed = uint64(max(j.Evidence.Replay.Replayed, 0)) //nolint:gosec // as above
	}
	return c
}

// lastOf is the newest review, if it is that of a revision. v may be nil.
func (v *reviews) lastOf(revision string) *review.Judgment {
	if v == nil {
		return nil
	}
	if j := v.Last(); j != nil && j.Review != nil && j.Review.Candidate.Revision == revision {
		return j
	}
	return nil
}

// Health is an [origin]'s.
func (o *fleetOrigin) Health() *api.Source {
	h := o.agent.Health()
	c := &api.SourceChannel{
		Agent: o.name, Labels: o.s.cfg.Settings.Source.Labels, Connected: h.Connected, Server: h.Server, Epoch: h.Epoch, Floor: h.Floor,
		Wanted: h.Wanted, Serves: h.Serves, State: string(h.State), Code: string(h.Code), Error: h.Error, Kept: h.Kept, Keys: h.Keys,
		Acknowledged: api.OptionalTime(h.Acked),
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	if h.Record != nil {
		c.By, c.Message = h.Record.Record.By, h.Record.Message
		for _, s := range h.Record.By {
			c.Signers = append(c.Signers, s.Name)
		}
	}
	return &api.Source{URL: o.url, Bundles: map[string]api.SourceBundle{}, Channel: c}
}

// fleetHealth is what the metrics show; zero without a channel.
func (s *Sidecar) fleetHealth() metrics.Fleet {
	o, ok := s.origin.(*fleetOrigin)
	if !ok {
		return metrics.Fleet{}
	}
	h := o.agent.Health()
	return metrics.Fleet{Epoch: h.Epoch, Connected: h.Connected, Records: h.Records, Bytes: h.Bytes, Acks: h.Acks}
}
