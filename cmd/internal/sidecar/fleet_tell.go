package sidecar

import (
	"cmp"
	"context"
	"strings"

	"defenseclaw/api/audit"
	"defenseclaw/api/events"
	"defenseclaw/watcher/fleet"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The actions of the audit records about a channel.
const (
	actionFleetApply  = "fleet-apply"  // a release of the channel serves
	actionFleetRefuse = "fleet-refuse" // a record, or what it asks for, is refused
)

// fleetTransitions are those of the subsystem fleet.
var fleetTransitions = map[fleet.EventKind]struct {
	name    string
	level   zapcore.Level
	message string
	action  string // of the audit record; empty: there is none
}{
	fleet.EventApplied:     {"fleet-record", zap.InfoLevel, "the release that the channel asks for serves", actionFleetApply},
	fleet.EventRefused:     {"fleet-refused", zap.ErrorLevel, "what the channel sent is refused; the last good policy serves", actionFleetRefuse},
	fleet.EventConnected:   {"fleet-connected", zap.InfoLevel, "connected to the source", ""},
	fleet.EventReconnected: {"fleet-reconnected", zap.InfoLevel, "connected to the source again", ""},
	fleet.EventLost:        {"fleet-lost", zap.WarnLevel, "the connection to the source is lost; what serves goes on", ""},
	fleet.EventKeys:        {"fleet-keys", zap.InfoLevel, "the keys of the source were read again", ""},
	fleet.EventUnkept:      {"fleet-unkept", zap.ErrorLevel, "what the source sent is not on disk, and would not be there after a restart", ""},
}

// tell publishes, logs and records what happens with the channel.
func (o *fleetOrigin) tell(e fleet.Event) {
	about := fleetTransitions[e.Kind]
	details := map[string]any{"url": o.url, "agent": o.name}
	fields := []zap.Field{zap.String("subsystem", "fleet"), zap.String("transition", about.name), zap.String("url", o.url)}
	for _, d := range []struct{ name, value string }{
		{"revision", e.Revision}, {"serves", e.Serves}, {"signers", strings.Join(e.Signers, ", ")}, {"by", e.By}, {"message", e.Message},
		{"code", string(e.Code)}, {"error", e.Err},
	} {
		if d.value != "" {
			details[d.name] = d.value
			fields = append(fields, zap.String(d.name, d.value))
		}
	}
	if e.Epoch != 0 {
		details["epoch"] = e.Epoch
		fields = append(fields, zap.Uint64("epoch", e.Epoch))
	}
	level := about.level
	if e.Err != "" {
		level = max(level, zap.WarnLevel)
	}
	o.s.events.Publish(events.Event{Subsystem: "fleet", Transition: about.name, Details: details})
	o.s.cfg.Logger.Log(level, about.message, fields...)
	if about.action == "" {
		return
	}
	r := audit.Record{
		Action: about.action, Actor: cmp.Or(e.By, strings.Join(e.Signers, ", "), o.Actor()), Target: o.url, Message: cmp.Or(e.Err, e.Message),
		RevisionFrom: e.Before, RevisionTo: e.Revision, Generation: o.s.generation(), Details: audit.JSON(details),
	}
	if e.Kind == fleet.EventRefused {
		r.Outcome, r.Severity, r.RevisionFrom, r.RevisionTo = audit.OutcomeRefused, audit.SeverityHigh, e.Serves, ""
	}
	o.s.record(context.Background(), r)
}
