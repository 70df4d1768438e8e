package api

import (
	"cmp"
	"context"

	"defenseclaw/api/internal/decision"
	"defenseclaw/api/metrics"
	"defenseclaw/engine"
)

// started is a decision under way: measured, and logged if there is a log.
type started struct {
	measured metrics.Decision
	logged   func(decision.Answer) // nil: there is no log
}

// begin begins every decision of every protocol.
func (s *Server) begin(
	ctx context.Context, label string, g *engine.Generation, q decision.Question,
) (context.Context, started) {
	ctx, measured := s.cfg.Metrics.StartDecision(ctx, label, g.Number(), q.Started)
	d := started{measured: measured}
	prints := g.Prints() && s.cfg.Prints.wanted()
	if prints || s.cfg.Decisions != nil {
		q = identified(ctx, g, q)
	}
	if prints {
		ctx = s.cfg.Prints.of(ctx, q.ID)
	}
	if s.cfg.Decisions != nil {
		s.noteDecision(ctx, cmp.Or(q.BatchID, q.ID))
		d.logged = s.cfg.Decisions.Begin(ctx, g, q)
	} else if q.ID != "" {
		s.noteDecision(ctx, q.ID)
	}
	return ctx, d
}

func (d started) end(verdict string, a decision.Answer) {
	d.measured.End(verdict)
	if d.logged != nil {
		d.logged(a)
	}
}

// beginDomainDecision is the [domains.BeginFunc].
func (s *Server) beginDomainDecision(
	ctx context.Context, label string, g *engine.Generation, q decision.Question,
) (context.Context, func(string, decision.Answer)) {
	ctx, d := s.begin(ctx, label, g, q)
	recorded := s.cfg.Recorder.Begin(g, q, d.measured.Started())
	return ctx, func(verdict string, a decision.Answer) {
		d.end(verdict, a)
		recorded.End(a)
	}
}

// beginDataDecision is the [decision.BeginFunc] of the other protocols.
func (s *Server) beginDataDecision(
	ctx context.Context, g *engine.Generation, q decision.Question,
) (context.Context, func(decision.Answer)) {
	ctx, d := s.begin(ctx, metrics.DomainData, g, q)
	// Beside d, not in it: a closure keeps small values, and only points to larger ones, which is one more allocation.
	recorded := s.cfg.Recorder.Begin(g, q, d.measured.Started())
	return ctx, func(a decision.Answer) {
		recorded.End(a)
		switch {
		case a.Err != nil:
			d.end(metrics.VerdictError, a)
		case a.Defined:
			d.end(metrics.VerdictDefined, a)
		default:
			d.end(metrics.VerdictUndefined, a)
		}
	}
}

// identified completes q: with an identifier, and with the requester unless the protocol has named one.
func identified(ctx context.Context, g *engine.Generation, q decision.Question) decision.Question {
	if q.ID == "" {
		q.ID = decision.ID(g)
	}
	by, _ := ctx.Value(requesterKey{}).(requester)
	q.RequestedBy, q.RequestID = cmp.Or(q.RequestedBy, by.address), cmp.Or(q.RequestID, by.requestID)
	q.Caller = by.caller.Name
	return q
}
