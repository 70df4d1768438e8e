package api

import (
	"context"
	"net/http"

	"defenseclaw/api/extauthz"
	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// ExtAuthz makes the server that answers Envoy's external authorization by the document at policy. It
// shares the token, the certificates, the engine and the metrics of s.
func (s *Server) ExtAuthz(policy engine.Path, dryRun bool) (*extauthz.Server, error) {
	return extauthz.New(extauthz.Config{
		Current: s.current, Policy: policy, Admit: s.admitCall, Begin: s.beginCall,
		TLS: s.cfg.TLS, DryRun: dryRun, Logger: s.cfg.Logger,
	})
}

// beginCall is the [decision.BeginFunc] of gRPC calls: it continues the caller's trace.
func (s *Server) beginCall(
	ctx context.Context, g *engine.Generation, q decision.Question,
) (context.Context, func(decision.Answer)) {
	sent, _ := metadata.FromIncomingContext(ctx)
	header := http.Header{}
	for _, name := range []string{"traceparent", "tracestate"} {
		for _, value := range sent.Get(name) {
			header.Add(name, value)
		}
	}
	return s.beginDataDecision(s.cfg.Metrics.Continue(ctx, header), g, q)
}

// admitCall checks the token of a gRPC call. The other checks stand against web pages, which cannot speak
// gRPC, and against floods, but one proxy calls for many.
func (s *Server) admitCall(r *http.Request) error {
	switch denial := s.gate.CheckToken(r); {
	case denial == nil:
		if caller, ok := peer.FromContext(r.Context()); ok {
			gate.TrustPeer(caller.Addr)
		}
		return nil
	case denial.Status == http.StatusUnauthorized:
		s.recordRefused(r, noToken)
		return status.Error(codes.Unauthenticated, denial.Message)
	default:
		return status.Error(codes.ResourceExhausted, denial.Message)
	}
}
