package api

import (
	"context"
	"net"
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
		Serving: s.serving, Ready: s.cfg.StaleSource.notReady, Policy: policy, Admit: s.admitCall, Begin: s.beginCall,
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

// admitCall checks the token of a gRPC call, and returns the context of its sender. The other checks stand against
// web pages, which cannot speak gRPC, and against floods, but one proxy calls for many.
func (s *Server) admitCall(r *http.Request) (context.Context, error) {
	caller, denial := s.gate.CheckToken(r)
	if denial != nil {
		if denial.Status != http.StatusUnauthorized {
			return nil, status.Error(codes.ResourceExhausted, denial.Message)
		}
		s.recordRefused(r, "", noToken)
		return nil, status.Error(codes.Unauthenticated, denial.Message)
	}
	if from, ok := peer.FromContext(r.Context()); ok {
		gate.TrustPeer(from.Addr)
	}
	if !caller.Scopes.Has(gate.ScopeDecide) {
		err := lacks(caller, gate.ScopeDecide, "a decision for Envoy")
		s.recordRefused(r, caller.Name, err.Error())
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	by := ownName(caller)
	if by == "" {
		host, _, _ := net.SplitHostPort(r.RemoteAddr) // "" for the peer of a Unix socket
		by = "proxy " + host
	}
	ctx := engine.WithRequester(r.Context(), by)
	if s.cfg.Decisions == nil {
		return ctx, nil
	}
	return context.WithValue(ctx, requesterKey{}, requester{caller: caller}), nil
}
