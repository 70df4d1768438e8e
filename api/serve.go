package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"defenseclaw/api/domains"
	"defenseclaw/api/gate"
	"defenseclaw/api/metrics"
	"defenseclaw/engine"
)

// Limits on every connection and request.
const (
	maxBodyBytes      = 1 << 20
	maxHeaderBytes    = 64 << 10
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 3 * time.Minute // longer than a reload may take; event streams have their own
	idleTimeout       = 2 * time.Minute
	drainTimeout      = 10 * time.Second
	maxStreams        = 100 // requests at once on one connection of HTTP/2: the least that RFC 9113 recommends
)

// stallTimeout is how long a reader may take nothing of a large answer before it is disconnected.
var stallTimeout = 10 * time.Second // only tests change it

// New makes a server; nothing is served before Run.
func New(cfg Config) (*Server, error) {
	g, err := gate.New(gate.Config{
		Token: cfg.Token, Find: cfg.FindToken, Digests: cfg.TokenDigests, BindHost: cfg.BindHost, PerSecond: cfg.RequestsPerSecond,
		AllowedHosts: cfg.AllowedHosts,
	})
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if cfg.Engine == nil && cfg.Source == nil {
		return nil, errors.New("api: one of Config.Engine and Config.Source is required")
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if len(cfg.AuthZEN) == 0 {
		cfg.AuthZEN = engine.Path{"authzen", "allow"}
	}
	if cfg.HILT == nil {
		cfg.HILT = func() domains.HILT { return domains.HILT{} }
	}
	if cfg.Metrics == nil {
		if cfg.Metrics, err = metrics.New(metrics.Config{Routes: Routes()}); err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
	}
	s := &Server{cfg: cfg, gate: g, started: time.Now().UTC(), directory: workingDirectory(), covered: newCoverages(), tries: make(chan struct{}, triesAtOnce)}
	s.judge.Store(cfg.Judge)
	s.handler = s.routes()
	return s, nil
}

// connContext names the sender of the requests of a connection, for those whose token has no name of its own.
func connContext(ctx context.Context, c net.Conn) context.Context {
	return engine.WithRequester(gate.ConnContext(ctx, c), gate.Origin(c))
}

// Run serves the listeners until ctx ends, then waits at most ten seconds for requests under way. It
// closes the listeners. The local ones are served without TLS, for callers on this machine. To bound the
// connections, and to have the users of a Unix socket known, make the listeners by [gate.Connections.Listener].
func (s *Server) Run(ctx context.Context, listener net.Listener, local ...net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          zap.NewStdLog(s.cfg.Logger.Named("http")),
		ConnContext:       connContext,
		ConnState:         gate.ConnState,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: stallTimeout},
	}
	group, ctx := errgroup.WithContext(ctx) // one that fails ends all
	group.Go(func() error { return s.drain(ctx, server) })
	serve := server.Serve
	if s.cfg.TLS != nil {
		server.TLSConfig = s.cfg.TLS
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	group.Go(func() error { return ended(listener, serve(listener)) })
	for _, l := range local {
		group.Go(func() error { return ended(l, server.Serve(l)) })
	}
	return group.Wait()
}

// ended explains why a listener is no longer served; nil if that was asked for.
func ended(l net.Listener, err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// drain stops the server when ctx ends.
func (s *Server) drain(ctx context.Context, server *http.Server) error {
	<-ctx.Done()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		err = errors.Join(fmt.Errorf("drain requests for %s: %w", drainTimeout, err), server.Close())
	}
	return err
}
