package sidecar

import (
	"context"
	"errors"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/domains"
	"defenseclaw/api/events"
	"defenseclaw/api/judge"
	"defenseclaw/api/metrics"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/history"
	"defenseclaw/engine/source"
	"defenseclaw/watcher"

	"go.uber.org/zap"
)

// announcements lists what follows an attempt that has something to report, in the contract's order.
func (s *Sidecar) announcements() []engine.Announcement {
	list := []engine.Announcement{
		{Name: "judge", Run: s.invalidateVerdicts},
		{Name: "metrics", Run: s.countReport},
		{Name: api.AnnounceAudit, Run: s.recordReport},
		{Name: "events", Run: s.publishReport},
		{Name: "log", Run: s.logReport},
	}
	if s.origin != nil {
		list = append(list, engine.Announcement{Name: "bundles", Run: s.announceBundles})
	}
	if s.signed != nil {
		list = append(list, engine.Announcement{Name: "signature", Run: s.announceSignature})
	}
	if s.keeper != nil {
		list = append(list, engine.Announcement{Name: "history", Run: s.keeper.Announce})
	}
	if s.reviewer != nil { // after the history, into whose entry a review is put
		list = append(list, engine.Announcement{Name: "review", Run: s.reviewer.announce})
	}
	if s.isolation() != isolateNothing {
		list = append(list, engine.Announcement{Name: "workers", Run: s.prepareWorkers})
	}
	if s.cfg.Settings.ExtAuthz.Addr != "" {
		list = append(list, engine.Announcement{Name: "envoy", Run: s.updateEnvoyHealth})
	}
	if underSystemd() {
		list = append(list, engine.Announcement{Name: "systemd", Run: s.notifyReport})
	}
	if o, ok := s.origin.(*fleetOrigin); ok { // the last: what is acknowledged has happened
		list = append(list, engine.Announcement{Name: "fleet", Run: o.announce})
	}
	return list
}

// announceValidated announces a reload that only checked. Nothing was swapped, so it invalidates no
// verdicts and saves nothing. The error is that of the audit record.
func (s *Sidecar) announceValidated(ctx context.Context, r engine.Report) error {
	err := s.countReport(ctx, r)
	recorded := s.recordReport(ctx, r)
	if recorded != nil {
		r.Outcomes = append(r.Outcomes, engine.Outcome{Name: api.AnnounceAudit, Err: recorded})
	}
	err = errors.Join(err, s.publishReport(ctx, r), s.logReport(ctx, r), s.announceSignature(ctx, r))
	if err != nil {
		s.cfg.Logger.Error("a reload could not be announced", zap.Error(err))
	}
	return recorded
}

// invalidateVerdicts makes the judge ask again under a new policy, and after a reload that was asked for even if nothing
// had changed: the model may have, behind the same name.
func (s *Sidecar) invalidateVerdicts(_ context.Context, r engine.Report) error {
	askedFor := r.Trigger.Kind == engine.TriggerAPI || r.Trigger.Kind == engine.TriggerSignal
	if j := s.judge.Load(); j != nil && (r.Result == engine.Success || r.Result == engine.Unchanged && askedFor) {
		j.InvalidateJudgeVerdictCache()
	}
	return nil
}

// countReport updates the metrics and writes the trace. A policy of an earlier run that is restored is no reload of the
// directory: that one failed, and an alert on it must not end. The same holds for one that an order put back, and a
// candidate that is held is no reload.
func (s *Sidecar) countReport(ctx context.Context, r engine.Report) error {
	done := metrics.Reload{Trigger: string(r.Trigger.Kind), Status: string(r.Result), Start: r.StartedAt, Duration: r.Duration}
	if r.Generation != nil {
		done.Generation, done.Revision = r.Generation.Number(), r.Generation.Revision()
	}
	for _, p := range r.Phases {
		done.Phases = append(done.Phases, metrics.Phase{Name: p.Name, Start: p.Start, Duration: p.Duration})
	}
	if r.Refused != nil {
		done.Error = r.Refused.Error()
	}
	if r.Trigger.Source == nil && r.Trigger.Kind != engine.TriggerControl && r.Result != engine.Held {
		s.metrics.ReloadDone(ctx, done)
	}
	s.metrics.TraceReload(ctx, done)
	if status, changed := marked[r.Result]; changed {
		s.metrics.MarkReload(metrics.Mark{
			At: r.StartedAt.Add(r.Duration), Status: status, Trigger: done.Trigger, Generation: done.Generation, Revision: done.Revision,
		})
	}
	return nil
}

// marked are the results of attempts that GET /policy/activity shows, as an answer to POST /policy/reload names them.
var marked = map[engine.Result]string{engine.Success: "reloaded", engine.Held: "held", engine.Failed: "failed"}

// recordReport appends the attempt to the audit log.
func (s *Sidecar) recordReport(ctx context.Context, r engine.Report) error {
	record := audit.Record{
		Time: r.StartedAt.Add(r.Duration), Action: audit.ActionPolicyReload, Actor: s.who.actor(r),
		Target: s.cfg.Settings.Place(), RequestID: r.Trigger.RequestID,
	}
	details := s.lifecycle(r).Details
	if len(r.Phases) > 0 {
		details["phases"] = history.PhasesOf(r.Phases)
	}
	switch r.Result {
	case engine.Unchanged:
		record.Outcome, record.Message = audit.OutcomeUnchanged, "the files are as they were"
	case engine.Held:
		record.Outcome, record.Severity, record.Message = audit.OutcomeHeld, audit.SeverityWarn, "not taken: "+editText(r.Held)
	case engine.Success:
		record.Message = editText(r.Generation)
	case engine.Failed:
		details["event"] = "policy.reload.rejected" // as the original gateway's records have it
		record.Outcome, record.Severity, record.Message = audit.OutcomeFailed, audit.SeverityHigh, r.Refused.Error()
	}
	record.Details = audit.JSON(details)
	if r.Previous != nil {
		record.RevisionFrom = r.Previous.Revision()
	}
	if r.Generation != nil {
		record.Generation, record.RevisionTo = r.Generation.Number(), r.Generation.Revision()
	}
	return s.audit.Append(ctx, record)
}

// editText says in a line what a generation brought.
func editText(g *engine.Generation) string {
	if g == nil {
		return ""
	}
	edit := g.Edit()
	modules, data := g.Counts()
	if len(edit.Added) == len(edit.All) && len(edit.All) >= modules+data { // the first, or another directory
		return "loaded " + terminal.Count(modules, "module") + " and " + terminal.Count(data, "data file")
	}
	return api.EditText(edit.All, edit.Added, edit.Removed)
}

// publishReport sends the attempt to the readers of GET /policy/events.
func (s *Sidecar) publishReport(_ context.Context, r engine.Report) error {
	s.events.Publish(s.lifecycle(r))
	if r.Loss != nil {
		e := s.lifecycle(r)
		e.Transition, e.Details = transitionRemoved, map[string]any{"generation": r.Generation.Number(), "removed": api.RemovedOf(r.Loss)}
		s.events.Publish(e)
	}
	return nil
}

// The transitions of the subsystem policy.
const (
	transitionReloaded  = "reloaded"
	transitionUnchanged = "unchanged" // a caller asked, and nothing had changed
	transitionRecovered = "recovered" // the directory is sound again, and holds what serves
	transitionFailed    = "reload-failed"
	transitionRemoved   = "removed"   // files that served are gone; it follows reloaded
	transitionRestored  = "restored"  // the last good policy of an earlier run serves
	transitionNotTaken  = "not-taken" // the files are sound, and an order keeps them from serving
)

// lifecycle describes the result of an attempt for the events, the log and the audit record.
func (s *Sidecar) lifecycle(r engine.Report) events.Event {
	e := events.Event{Time: r.StartedAt.Add(r.Duration).UTC(), Subsystem: "policy", Transition: transitionReloaded}
	switch {
	case r.Result == engine.Failed:
		e.Transition = transitionFailed
	case r.Result == engine.Held:
		e.Transition = transitionNotTaken
	case r.Result == engine.Success && r.Trigger.Source != nil:
		e.Transition = transitionRestored
	case r.Result == engine.Unchanged && r.Healed:
		e.Transition = transitionRecovered
	case r.Result == engine.Unchanged:
		e.Transition = transitionUnchanged
	}
	e.Details = map[string]any{
		"trigger": string(r.Trigger.Kind), "actor": s.who.actor(r), "policy_dir": s.cfg.Settings.Place(),
		"duration_ms": float64(r.Duration.Microseconds()) / 1000,
	}
	if r.Trigger.Client != "" {
		e.Details["client"] = r.Trigger.Client
	}
	if r.Generation != nil {
		e.Details["generation"], e.Details["revision"] = r.Generation.Number(), r.Generation.Revision()
	}
	if r.Result == engine.Success {
		e.Details["changed"] = r.Changed()
		if edit := r.Edit(); r.Previous != nil && len(edit.Added)+len(edit.Removed) > 0 {
			e.Details["added_files"], e.Details["removed_files"] = edit.Added, edit.Removed
		}
	}
	if r.Held != nil {
		e.Details["held"] = map[string]any{"revision": r.Held.Revision(), "changed": r.Held.Changed()}
	}
	if r.Noticed {
		e.Details["not_loaded"] = api.NotLoadedOf(r.Ignored)
	}
	if r.Loss != nil {
		e.Details["removed"] = api.RemovedOf(r.Loss)
	}
	if r.Refused != nil {
		e.Details["error"], e.Details["stage"] = r.Refused.Error(), string(r.Refused.Stage)
		e.Details["diagnostics"] = api.Diagnostics(r.Refused.Diagnostics)
	}
	return e
}

// The transitions of the subsystem watch.
const (
	transitionWatching = "watching" // by events
	transitionDegraded = "degraded" // by polling, or not everything, or the directory is gone
	transitionStopped  = "stopped"
)

// reportWatch publishes and logs a change of the watch's health, so that operators learn of a watch that
// does not work before an edit goes unnoticed.
func (s *Sidecar) reportWatch(h watcher.Health) {
	e := events.Event{Subsystem: "watch", Transition: transitionWatching, Details: map[string]any{
		"mode": string(h.Mode), "state": string(h.State), "reason": h.Reason, "directories": h.Directories,
	}}
	level := zap.InfoLevel
	switch {
	case h.State == watcher.StateStopped:
		e.Transition = transitionStopped
	case h.Reason != "" || h.State == watcher.StateMissing:
		e.Transition, level = transitionDegraded, zap.WarnLevel
	}
	s.events.Publish(e)
	s.cfg.Logger.Log(level, "watch "+e.Transition, zap.String("subsystem", e.Subsystem), zap.String("transition", e.Transition),
		zap.String("mode", string(h.Mode)), zap.String("state", string(h.State)),
		zap.String("reason", h.Reason), zap.Int("directories", h.Directories))
}

// crashed says what to do about an attempt that crashed: nothing in the policy alone explains it.
const crashed = "the reload crashed, which is a fault of this program: " +
	"report this stack and version to its maintainers, with the policy that was loaded if you may share it"

// logReport logs the result of an attempt, and the announcements before it that went wrong.
func (s *Sidecar) logReport(_ context.Context, r engine.Report) error {
	e := s.lifecycle(r)
	fields := []zap.Field{
		zap.String("subsystem", e.Subsystem), zap.String("transition", e.Transition),
		zap.String("trigger", string(r.Trigger.Kind)), zap.Float64("duration_ms", float64(r.Duration.Microseconds())/1000),
	}
	if r.Generation != nil {
		fields = append(fields, zap.Uint64("generation", r.Generation.Number()), zap.String("revision", r.Generation.Revision()))
	}
	for _, o := range r.Outcomes {
		if o.Err != nil {
			s.cfg.Logger.Error("a reload could not be announced", zap.String("to", o.Name), zap.Error(o.Err))
		}
	}
	if r.Noticed {
		s.warnOfIgnored(r.Ignored)
	}
	switch r.Result {
	case engine.Success:
		s.cfg.Logger.Info("policy reloaded", append(fields, zap.Strings("changed", r.Changed()))...)
		s.warnOfLoss(r)
		for _, warning := range domains.Warnings(r.Generation, s.judge.Load() != nil, s.hilt()) {
			s.cfg.Logger.Warn(warning)
		}
		s.strictness.offer(r.Generation)
	case engine.Unchanged:
		s.cfg.Logger.Info("policy unchanged", append(fields, zap.Bool("healed", r.Healed))...)
	case engine.Held:
		s.cfg.Logger.Warn("the files are sound, and do not serve: policy status says what keeps them from it",
			append(fields, zap.String("held", r.Held.Revision()), zap.Strings("changed", r.Held.Changed()))...)
	case engine.Failed:
		s.logRefused(r, fields)
	}
	return nil
}

// warnOfIgnored names files that somebody may think are served.
func (s *Sidecar) warnOfIgnored(ignored source.Ignored) {
	files := make([]string, 0, len(ignored.Files))
	for _, f := range ignored.Files {
		files = append(files, f.Path+": "+f.Reason)
	}
	s.cfg.Logger.Warn("files that look like policy or data are not loaded", zap.Strings("files", files), zap.Int("more", ignored.More))
}

// warnOfLoss names what no longer answers: a file may have been removed by mistake, and callers get "undefined".
func (s *Sidecar) warnOfLoss(r engine.Report) {
	if r.Loss == nil {
		return
	}
	var used, unused []string
	for _, d := range r.Loss.Documents {
		if d.Used {
			used = append(used, d.Path)
		} else {
			unused = append(unused, d.Path)
		}
	}
	message := "files that served are gone"
	if len(r.Loss.Files) == 0 {
		message = "what decisions have used is gone"
	}
	s.cfg.Logger.Warn(message, zap.Strings("files", r.Loss.Files),
		zap.Strings("gone_and_used_by_decisions", used), zap.Strings("gone_and_not_used_by_decisions", unused), zap.Int("more", r.Loss.More))
}

func (s *Sidecar) logRefused(r engine.Report, fields []zap.Field) {
	lines := make([]string, 0, len(r.Refused.Diagnostics))
	for _, d := range r.Refused.Diagnostics {
		line := d.String()
		if d.Hint != "" {
			line += "; hint: " + d.Hint
		}
		lines = append(lines, line)
	}
	message := "policy reload refused; the last good policy serves"
	if r.Generation == nil {
		message = "policy refused; no decisions are served until it is repaired"
	}
	fields = append(fields, zap.String("stage", string(r.Refused.Stage)), zap.Error(r.Refused))
	if len(lines) > 1 || len(lines) == 1 && lines[0] != r.Refused.Error() { // else the error says it
		fields = append(fields, zap.Strings("diagnostics", lines))
	}
	s.cfg.Logger.Error(message, fields...)
	if stack := r.Refused.Stack(); stack != nil {
		s.cfg.Logger.Error(crashed, zap.String("version", s.cfg.Version), zap.ByteString("stack", stack))
	}
}

// updateEnvoyHealth brings the gRPC health up to date with what serves.
func (s *Sidecar) updateEnvoyHealth(context.Context, engine.Report) error {
	s.envoy.TellHealth()
	return nil
}

// judgeFailed counts and logs a question without a verdict. The caller's answer does not hold the reason.
func (s *Sidecar) judgeFailed(kind judge.Kind, e *judge.CallError) {
	s.metrics.JudgeError(string(kind), string(e.Reason))
	s.cfg.Logger.Warn("the judge gave no verdict",
		zap.String("kind", string(kind)), zap.String("reason", string(e.Reason)), zap.Error(e))
}
