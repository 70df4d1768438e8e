// Package extauthz answers Envoy's external authorization, envoy.service.auth.v3 over gRPC, over one
// generation of the engine for each call.
//
// A call is one decision by one document of the policy, with the input and the results that OPA's own
// plugin for Envoy has: true or false, or an object whose allowed is one of them. What cannot be decided
// (the document is undefined, its evaluation breaks off, it says nothing that can be read) is an error of
// the call, which Envoy takes for a denial unless it was told otherwise.
//
// Most callers need [New] and [Server.Run]. Beside the authorization, the server answers gRPC's health
// protocol, which is the one thing that needs no permission of [Config.Admit].
package extauthz

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// Limits of the server. They hold whoever calls.
const (
	mostMessageBytes = 4 << 20 // a request with the body that Envoy was told to send along
	mostHeaderBytes  = 64 << 10
	mostCalls        = 1024 // at once, on one connection; more wait
	handshakeTimeout = 5 * time.Second
	drainTimeout     = 10 * time.Second
	pingInterval     = 5 * time.Second // at most so often: Envoy pings idle connections where it was told to
)

// Config is what a Server needs. Only TLS, DryRun and Logger may be left out.
type Config struct {
	Current func() *engine.Generation // nil while nothing serves
	Policy  engine.Path               // the document that decides

	// Admit says whether a call may be made, before it is looked at: the request is the call as HTTP/2
	// has it, without a body. Its error, a gRPC status, is the call's.
	Admit func(r *http.Request) error

	Begin decision.BeginFunc // is told of every decision

	TLS    *tls.Config // nil: plain text
	DryRun bool        // allow everything, and log what would not have been
	Logger *zap.Logger // nil: nothing is logged
}

// Server answers Envoy for one engine.
type Server struct {
	cfg    Config
	grpc   *grpc.Server
	health *health.Server

	serving context.Context // ends when the server is about to
	end     context.CancelFunc
}

// New makes a server; nothing is served before Run, which may be called once.
func New(cfg Config) (*Server, error) {
	if cfg.Current == nil || cfg.Admit == nil || cfg.Begin == nil || len(cfg.Policy) == 0 {
		return nil, errors.New("extauthz: Current, Policy, Admit and Begin of the Config are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	s := &Server{cfg: cfg, health: health.NewServer()}
	s.serving, s.end = context.WithCancel(context.Background())
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(mostMessageBytes),
		grpc.MaxHeaderListSize(mostHeaderBytes),
		grpc.MaxConcurrentStreams(mostCalls),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingInterval, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
		grpc.UnaryInterceptor(s.aroundCall),
		grpc.StreamInterceptor(s.aroundStream),
	}
	if cfg.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(cfg.TLS)))
	}
	s.grpc = grpc.NewServer(options...)
	authv3.RegisterAuthorizationServer(s.grpc, authorization{Server: s})
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	s.TellHealth()
	return s, nil
}

// TellHealth has the health protocol say whether a generation serves. To be called when that may have
// changed. Safe for concurrent use.
func (s *Server) TellHealth() {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if s.cfg.Current() != nil {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", status)
	s.health.SetServingStatus(authv3.Authorization_ServiceDesc.ServiceName, status)
}

// Run serves the listener until ctx ends, then lets calls under way end, for ten seconds at most. It
// closes the listener.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	ended, drained := make(chan struct{}), make(chan error, 1)
	go func() {
		select {
		case <-ctx.Done():
		case <-ended:
		}
		drained <- s.drain(context.WithoutCancel(ctx))
	}()
	err := s.grpc.Serve(listener)
	close(ended)
	err = errors.Join(err, <-drained)
	if err != nil {
		return fmt.Errorf("serve Envoy at %s: %w", listener.Addr(), err)
	}
	return nil
}

// drain ends the server. Those who watch the health are told, and not waited for.
func (s *Server) drain(ctx context.Context) error {
	s.health.Shutdown()
	s.end()
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	stopped := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(stopped) }()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		s.grpc.Stop()
		<-stopped
		return fmt.Errorf("drain calls for %s: %w", drainTimeout, ctx.Err())
	}
}
