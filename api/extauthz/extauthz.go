// Package extauthz serves Envoy's external authorization, envoy.service.auth.v3 over gRPC. One generation of
// the engine answers each call.
//
// A call is one decision by a document of the policy. Its input and results are those of OPA's plugin for
// Envoy: a boolean, or an object with a boolean field allowed. If the document is undefined, cannot be
// evaluated, or has another form, the call returns an error, which Envoy treats as a denial by default.
//
// Most callers need [New] and [Server.Run]. The server also implements gRPC's health protocol, the only
// service that [Config.Admit] does not protect.
package extauthz

import (
	"cmp"
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

// Limits for all callers.
const (
	maxMessageBytes  = 4 << 20 // of a request, including the body if Envoy is configured to send it
	maxHeaderBytes   = 64 << 10
	maxCalls         = 1024 // concurrent calls per connection; further ones wait
	handshakeTimeout = 5 * time.Second
	drainTimeout     = 10 * time.Second
	pingInterval     = 5 * time.Second // minimum time between pings, which Envoy may be configured to send
)

// Config configures [New]. All fields except Ready, TLS, DryRun and Logger are required.
type Config struct {
	Serving func() (*engine.Generation, error) // fails while there is no generation to decide by
	Ready   func() error                       // why calls are to be sent elsewhere although they are answered; may be nil
	Policy  engine.Path                        // of the document that decides

	// Admit checks whether a call is permitted, before it is processed. r is the HTTP/2 request of the
	// call, without its body. An error, which must be a gRPC status, ends the call. Else the call goes on with the
	// context that Admit returns.
	Admit func(r *http.Request) (context.Context, error)

	Begin decision.BeginFunc // called for every decision

	TLS    *tls.Config // nil: plain text
	DryRun bool        // allow everything, and log what would have been denied
	Logger *zap.Logger // nil: no logging
}

// Server answers Envoy for one engine.
type Server struct {
	cfg    Config
	grpc   *grpc.Server
	health *health.Server

	serving context.Context // ends when the server begins to stop
	end     context.CancelFunc
}

// New makes a server. It serves once Run is called.
func New(cfg Config) (*Server, error) {
	if cfg.Serving == nil || cfg.Admit == nil || cfg.Begin == nil || len(cfg.Policy) == 0 {
		return nil, errors.New("extauthz: Current, Policy, Admit and Begin of the Config are required")
	}
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop())
	s := &Server{cfg: cfg, health: health.NewServer()}
	s.serving, s.end = context.WithCancel(context.Background())
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(maxCalls),
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

// TellHealth updates the status of the health protocol: whether there is a generation to decide by, and callers are to ask
// here. Call it when that may have changed. Safe for concurrent use.
func (s *Server) TellHealth() {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if _, err := s.cfg.Serving(); err == nil && (s.cfg.Ready == nil || s.cfg.Ready() == nil) {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", status)
	s.health.SetServingStatus(authv3.Authorization_ServiceDesc.ServiceName, status)
}

// Leave makes the health protocol answer NOT_SERVING from now on; calls are answered as before. Safe for
// concurrent use.
func (s *Server) Leave() { s.health.Shutdown() }

// Run serves the listener until ctx ends, then drains calls in progress for up to ten seconds. It closes the
// listener. Call it once.
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

// drain stops the server. Streams that watch the health get the change, and end at once.
func (s *Server) drain(ctx context.Context) error {
	s.Leave()
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
