package sidecar

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/watcher"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// A stage is a group of parts that end together. Stages end in the order of their numbers.
type stage int

const (
	serving   stage = iota // accepts requests, signals and changes of files: ends and drains first
	deciding               // the engine, which the parts that serve call until they have drained
	keeping                // records, exports and saves what the others did
	isolating              // the workers, which all of the others may ask: ends last
	stages                 // the number of stages
)

// A part is a goroutine of a running sidecar. It ends when its context does.
type part struct {
	stage   stage
	name    string
	present bool // this sidecar has it
	run     func(context.Context) error
}

// parts lists what runs. ready is called once the first load has ended and the start is on
// record.
func (s *Sidecar) parts(ready func()) []part {
	loaded := make(chan struct{}) // closed when the first load has ended, which covers all that changed before
	changes := make(chan watcher.Change)
	all := []part{
		{serving, "api", true, s.serveAPI},
		{serving, "envoy", s.envoy != nil, func(ctx context.Context) error { return s.envoy.Run(ctx, s.envoyListener) }},
		{serving, "events", true, s.events.Run},
		{serving, "judge", true, s.runJudge},
		{serving, "first load", true, func(ctx context.Context) error { return s.begin(ctx, loaded, ready) }},
		{serving, "signals", true, func(ctx context.Context) error { return s.reloadOnHUP(ctx, loaded) }},
		{serving, "watcher", s.watcher != nil, func(ctx context.Context) error { return s.watcher.Run(ctx, changes) }},
		{serving, "source", s.origin != nil, func(ctx context.Context) error { return s.followSource(ctx, loaded, changes) }},
		{serving, "staleness", s.staleness != nil, func(ctx context.Context) error { return s.runStaleness(ctx, loaded) }},
		{keeping, "status", s.statusSender != nil, s.statusSender.Run},
		{serving, "changes", s.watcher != nil || s.origin != nil, func(ctx context.Context) error { return s.reloadOnChange(ctx, loaded, changes) }},
		{serving, "control", s.control != nil, func(ctx context.Context) error { return s.runControl(ctx, loaded) }},
		{serving, "config watcher", s.live.watcher != nil, func(ctx context.Context) error { return s.live.watcher.Run(ctx, s.live.changes) }},
		{serving, "config", s.live.watcher != nil, s.followConfig},
		{serving, "leaving", s.cfg.Settings.ShutdownDelay > 0, s.leave},
		{serving, "tokens", true, s.tokens.Run},
		{serving, "strictness", s.engine != nil, s.strictness.run},
		{serving, "observer", s.observer != nil, s.observer.Run},
		{serving, "systemd", true, func(ctx context.Context) error { return s.notifySystemd(ctx, loaded) }},

		{deciding, "engine", s.engine != nil, s.engine.Run},

		{keeping, "metrics", true, s.metrics.Run},
		{keeping, "audit", true, s.runAudit},
		{keeping, "decision log", s.decisions != nil, s.decisions.Run},
		{keeping, "access log", s.access != nil, s.access.Run},
		{keeping, "prints", true, s.prints.Run},
		{keeping, "recorder", s.recorder != nil, s.recorder.Run},
		{keeping, "review", s.engine != nil && s.reviewer != nil, s.reviewer.run},
		{keeping, "history", s.keeper != nil, s.keeper.Run},

		{isolating, "workers", s.workers != nil, s.workers.Run},
		{isolating, "reviewer", s.evaluations != nil, func(ctx context.Context) error { return s.evaluations.process.Run(ctx) }},
	}
	return slices.DeleteFunc(all, func(p part) bool { return !p.present })
}

// Run serves until ctx ends or a part that serves fails. Then it ends the parts stage by stage: the
// next stage ends when every part of the one before has ended. So the engine answers until requests
// are drained, and what they and the last reload did is recorded, exported and saved. ready is called
// once the first load has ended, well or not, and the start is on record. The error is nil after a clean stop.
func (s *Sidecar) Run(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, s.unpublish(), s.release()) }()
	parts := s.parts(ready)
	// The first record: nothing that is recorded happens before the other stages start. They do not wait for the disk; who asks
	// whether the sidecar is ready does, or it would find an audit log that does not run yet.
	started := audit.Record{Action: audit.ActionStart, Target: s.Addr(), Message: "version " + s.cfg.Version}
	onDisk := s.audit.Begin(started)
	var running [stages]group
	for st := isolating; st >= serving; st-- {
		running[st] = startStage(ctx, st, parts)
	}
	s.await(ctx, started, onDisk)
	close(s.onRecord)
	<-running[serving].done
	for st, group := range running {
		if stage(st) == keeping { // the last record: everything else has ended
			s.record(ctx, stopRecord(err))
		}
		group.stop()
		err = errors.Join(err, group.parts.Wait())
	}
	return err
}

func (s *Sidecar) serveAPI(ctx context.Context) error {
	if s.local == nil {
		return s.server.Run(ctx, s.listener)
	}
	return s.server.Run(ctx, s.listener, s.local)
}

// runJudge ends the judge that is in use at the end; see [Sidecar.apply] for those before it.
func (s *Sidecar) runJudge(ctx context.Context) error {
	<-ctx.Done()
	if j := s.judge.Load(); j != nil {
		return j.Run(ctx)
	}
	return nil
}

// leave makes the sidecar not ready once it is asked to stop: callers get time to go elsewhere, and what serves
// goes on serving.
func (s *Sidecar) leave(ctx context.Context) error {
	if !waitFor(ctx, s.cfg.Leaving) {
		return nil
	}
	s.server.Leave()
	if s.envoy != nil {
		s.envoy.Leave()
	}
	delay := s.cfg.Settings.ShutdownDelay
	s.cfg.Logger.Info("shutting down: not ready, and still serving until the delay is over", zap.Float64("delay_seconds", delay.Seconds()))
	s.notify(notifyStopping, "still serving for "+delay.String())
	return nil
}

// unpublish removes the files that say that this sidecar runs or loads.
func (s *Sidecar) unpublish() error {
	err := s.cfg.Settings.Unpublish()
	if s.loading != nil {
		err = errors.Join(err, s.loading.end())
	}
	return err
}

// A group is a running stage.
type group struct {
	parts *errgroup.Group
	stop  context.CancelFunc
	done  <-chan struct{} // of the context of the parts
}

// startStage starts the parts of a stage. Those that serve end with ctx, or when one of them fails; the
// others end when the stage is stopped, even if one of them fails: what it has in hand is not lost.
func startStage(ctx context.Context, st stage, parts []part) group {
	if st != serving {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, stop := context.WithCancel(ctx)
	g := new(errgroup.Group)
	if st == serving {
		g, ctx = errgroup.WithContext(ctx)
	}
	for _, p := range parts {
		if p.stage == st {
			g.Go(func() error { return p.run(ctx) })
		}
	}
	return group{parts: g, stop: stop, done: ctx.Done()}
}

// begin tells commands where the sidecar listens, and makes the first load.
func (s *Sidecar) begin(ctx context.Context, loaded chan<- struct{}, ready func()) error {
	err := s.cfg.Settings.Publish(settings.Gateway{
		PID: os.Getpid(), APIAddr: s.Addr(), Socket: s.LocalAddr(), TLSCert: absolute(s.cfg.Settings.TLSCert), StartedAt: time.Now().UTC(),
	})
	if err != nil {
		return err
	}
	s.firstLoad(ctx)
	close(loaded)
	if !waitFor(ctx, s.onRecord) {
		return nil
	}
	s.notify(notifyReady, s.doing())
	ready()
	return nil
}

// runAudit runs the audit log. Records that cannot be written by its end are written to the program's log.
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

// auditAlarm logs a fault of the audit log, which is on record too.
func (s *Sidecar) auditAlarm(r audit.Record) {
	level := zap.ErrorLevel
	if r.Severity == audit.SeverityWarn {
		level = zap.WarnLevel
	}
	s.cfg.Logger.Log(level, "the audit log has an alarm", zap.String("action", r.Action), zap.String("reason", r.Message), zap.String("id", r.ID))
}

// record appends a record of the sidecar itself. A failure is logged and stops nothing.
func (s *Sidecar) record(ctx context.Context, r audit.Record) { s.await(ctx, r, s.audit.Begin(r)) }

// await is the second half of record.
func (s *Sidecar) await(ctx context.Context, r audit.Record, onDisk func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := onDisk(ctx); err != nil {
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

// absolute makes a path in gateway.json one that holds in every working directory.
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
