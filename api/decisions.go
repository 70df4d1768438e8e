package api

import (
	"cmp"
	"context"
	"net/http"

	"defenseclaw/api/internal/decision"
	"defenseclaw/api/metrics"
	"defenseclaw/engine"
)

// begun is a decision under way: measured, and logged where there is a log.
type begun struct {
	measured metrics.Decision
	logged   func(decision.Answer) // nil: there is no log
}

// begin is where every decision begins, by whatever protocol it is asked for.
func (s *Server) begin(ctx context.Context, domain string, g *engine.Generation, q decision.Question) (context.Context, begun) {
	ctx, measured := s.cfg.Metrics.StartDecision(ctx, domain, g.Number())
	b := begun{measured: measured}
	if s.cfg.Decisions != nil {
		b.logged = s.cfg.Decisions.Begin(ctx, g, identified(ctx, g, q))
	}
	return ctx, b
}

func (b begun) end(verdict string, a decision.Answer) {
	b.measured.End(verdict)
	if b.logged != nil {
		b.logged(a)
	}
}

// beginDataDecision begins a decision that is not one of the six domains'.
func (s *Server) beginDataDecision(ctx context.Context, g *engine.Generation, q decision.Question) (context.Context, func(decision.Answer)) {
	ctx, begun := s.begin(ctx, metrics.DomainData, g, q)
	return ctx, func(a decision.Answer) {
		switch {
		case a.Err != nil:
			begun.end(metrics.VerdictError, a)
		case a.Defined:
			begun.end(metrics.VerdictDefined, a)
		default:
			begun.end(metrics.VerdictUndefined, a)
		}
	}
}

// identified is q with an identifier, and with who asked where the protocol does not know better.
func identified(ctx context.Context, g *engine.Generation, q decision.Question) decision.Question {
	if q.ID == "" {
		q.ID = decision.ID(g)
	}
	by, _ := ctx.Value(askerKey{}).(asker)
	q.RequestedBy, q.RequestID = cmp.Or(q.RequestedBy, by.address), cmp.Or(q.RequestID, by.requestID)
	return q
}

type askerKey struct{}

// asker is who sent an HTTP request.
type asker struct{ address, requestID string }

// withAsker notes for the log who asks. Without a log it costs nothing.
func (s *Server) withAsker(r *http.Request) *http.Request {
	if s.cfg.Decisions == nil {
		return r
	}
	by := asker{address: r.RemoteAddr, requestID: r.Header.Get(HeaderRequestID)}
	if by.address == "@" { // a Unix socket's other end has no name
		by.address = ""
	}
	return r.WithContext(context.WithValue(r.Context(), askerKey{}, by))
}
