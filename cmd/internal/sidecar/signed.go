package sidecar

import (
	"context"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/api/events"
	"defenseclaw/engine"

	"go.uber.org/zap"
)

const transitionSignatureRefused = "signature-refused" // it follows reload-failed

// announceSignature tells of files that are not what a trusted key signed, in addition to their refusal: somebody may have
// changed them who must not. The error is that of the record.
func (s *Sidecar) announceSignature(ctx context.Context, r engine.Report) error {
	if r.Refused == nil || r.Refused.Stage != engine.StageSignature {
		return nil
	}
	e := s.lifecycle(r)
	s.events.Publish(events.Event{Time: e.Time, Subsystem: e.Subsystem, Transition: transitionSignatureRefused, Details: e.Details})
	record := audit.Record{
		Time: e.Time, Action: "policy-" + transitionSignatureRefused, Outcome: audit.OutcomeRefused, Severity: audit.SeverityHigh, Actor: s.who.actor(r),
		Target: s.cfg.Settings.Place(), RequestID: r.Trigger.RequestID, Message: r.Refused.Error(),
		Details: audit.JSON(map[string]any{
			"trigger": string(r.Trigger.Kind), "diagnostics": api.Diagnostics(r.Refused.Diagnostics), "error": r.Refused.Error(),
		}),
	}
	if r.Generation != nil {
		record.Generation, record.RevisionFrom = r.Generation.Number(), r.Generation.Revision()
	}
	return s.audit.Append(ctx, record)
}

// noteVerified keeps the commit that serves, which later ones have to follow.
func (s *Sidecar) noteVerified(v engine.Verified) {
	if err := s.signed.Serves(v); err != nil {
		s.cfg.Logger.Error("the commit that serves could not be noted: after a restart an older one could serve", zap.String("commit", v.Commit), zap.Error(err))
	}
}
