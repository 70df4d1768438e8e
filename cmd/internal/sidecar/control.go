package sidecar

import (
	"context"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/events"
	"defenseclaw/engine"
	"defenseclaw/engine/control"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// openControl reads what an operator has ordered about the policy directory.
func (s *Sidecar) openControl() (err error) {
	set := s.cfg.Settings
	s.control, err = control.Open(control.Config{
		Reviewed: s.reviewer.before(), Strict: s.reviewer.before(),
		Confirm: set.SafetyConfirm, MaxStale: set.MaxStale,
		Path: set.ControlFile(set.Place()), History: s.history, Noted: s.keeper.Noted, Tell: s.tellControl,
		Actor: func(p engine.Proposal) string {
			return s.who.actor(engine.Report{
				Trigger: p.Trigger, Result: engine.Success, Generation: p.Candidate, Previous: p.Serving, Refused: p.Refused, StartedAt: p.StartedAt,
			})
		},
		Warn: func(message string, err error) {
			s.cfg.Logger.Error(message, zap.String("subsystem", "policy"), zap.Error(err))
		},
	})
	if err != nil {
		return err
	}
	s.history.Protect(s.control.Protected)
	if s.reviewer != nil {
		s.reviewer.control = s.control
	}
	return nil
}

// govern is the engine's question what may serve; nil where there is nothing to order.
func (s *Sidecar) govern() func(engine.Proposal) bool {
	if s.control == nil {
		return nil
	}
	return s.control.Govern
}

// runControl begins when what was ordered before the start is in force.
func (s *Sidecar) runControl(ctx context.Context, loaded <-chan struct{}) error {
	if !waitFor(ctx, loaded) {
		return nil
	}
	return s.control.Run(ctx)
}

// tellControl announces what became of an order: an event, a record and a line of the log. The error is that of the record.
func (s *Sidecar) tellControl(ctx context.Context, c control.Change) error {
	details := map[string]any{"actor": c.By.Actor, "policy_dir": s.cfg.Settings.Place(), "control": api.ControlOf(control.Status{Record: c.After})}
	for name, text := range map[string]string{
		"reason": c.By.Reason, "client": c.By.Client, "digest": c.Digest, "revision_from": c.From, "revision": c.To, "refused": c.Refused,
	} {
		if text != "" {
			details[name] = text
		}
	}
	if c.Generation != 0 {
		details["generation"] = c.Generation
	}
	if !c.Deadline.IsZero() {
		details["deadline"] = c.Deadline
	}
	s.events.Publish(events.Event{Time: c.Time, Subsystem: "policy", Transition: string(c.Transition), Details: details})
	if c.Transition == control.Expired || c.Transition == control.Renewed {
		_, _ = daemon.SdNotify(false, "STATUS="+s.doing()) // systemd may be away
		if s.envoy != nil {
			s.envoy.TellHealth()
		}
	}
	level := zap.InfoLevel
	if c.After.Mode() != control.ModeFollow || c.Transition == control.Reverted {
		level = zap.WarnLevel
	}
	if c.Transition == control.Expired {
		level = zap.ErrorLevel
	}
	s.cfg.Logger.Log(level, "policy "+string(c.Transition), zap.String("subsystem", "policy"), zap.String("transition", string(c.Transition)),
		zap.String("actor", c.By.Actor), zap.String("reason", c.By.Reason), zap.String("revision", c.To), zap.String("control", string(c.After.Mode())))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	record := audit.Record{
		Time: c.Time, Action: "policy-" + string(c.Transition), Actor: c.By.Actor, Target: s.cfg.Settings.Place(), RequestID: c.By.RequestID,
		RevisionFrom: c.From, RevisionTo: c.To, Generation: c.Generation, Message: c.By.Reason, Details: audit.JSON(details),
	}
	if level != zap.InfoLevel {
		record.Severity = audit.SeverityWarn
	}
	return s.audit.Append(ctx, record)
}
