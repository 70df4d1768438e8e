package api

import (
	"context"
	"net/http"

	"defenseclaw/api/extauthz"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// ExtAuthz makes the server that answers Envoy's external authorization by the document that policy
// names: with the token, the certificates and the engine of s, and measured as its decisions are.
func (s *Server) ExtAuthz(policy engine.Path, dryRun bool) (*extauthz.Server, error) {
	return extauthz.New(extauthz.Config{
		Current: s.current, Policy: policy, Admit: s.admitCall, Begin: s.beginCall,
		TLS: s.cfg.TLS, DryRun: dryRun, Logger: s.cfg.Logger,
	})
}

// beginCall measures a decision for a gRPC call, within the caller's trace.
func (s *Server) beginCall(ctx context.Context, g *engine.Generation, q decision.Question) (context.Context, func(decision.Answer)) {
	told, _ := metadata.FromIncomingContext(ctx)
	header := http.Header{}
	for _, name := range []string{"traceparent", "tracestate"} {
		for _, value := range told.Get(name) {
			header.Add(name, value)
		}
	}
	return s.beginDataDecision(s.cfg.Metrics.Continue(ctx, header), g, q)
}

// admitCall puts the token before a gRPC call. The other gates stand against pages, which cannot speak
// gRPC, and against floods, of which one proxy for many callers is none.
func (s *Server) admitCall(r *http.Request) error {
	d, ok := s.tokenGate(r, accessDecide)
	if ok {
		return nil
	}
	s.recordRefused(r, d.status, "no token, or a wrong one")
	code := codes.Unauthenticated
	if d.status == http.StatusTooManyRequests {
		code = codes.ResourceExhausted
	}
	return status.Error(code, d.message)
}
