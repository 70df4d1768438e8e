package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/api/decisionlog"
	"defenseclaw/api/judge"
	"defenseclaw/api/metrics"
	"defenseclaw/engine"

	"go.uber.org/zap"
)

// Limits of the server. They hold whoever calls.
const (
	mostBodyBytes     = 1 << 20
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 3 * time.Minute // longer than a reload may take; event streams have their own
	idleTimeout       = 2 * time.Minute
	drainTimeout      = 10 * time.Second
)

// DefaultRequestsPerSecond is what one address beyond this machine may ask for, twice of it at once.
const DefaultRequestsPerSecond = 100

// Config is what a Server needs.
type Config struct {
	Engine    *engine.Engine        // nil in a validate-only sidecar, which serves no decisions
	Source    func() (fs.FS, error) // the policy directory, for the validate-only reload; required when Engine is nil
	PolicyDir string                // as the operator wrote it; empty when the embedded pack serves
	Token     string                // required
	BindHost  string                // the host the listener was bound to, for the Host gate
	Watch     func() Watch          // the watch's health; nil when nothing is watched
	Metrics   *metrics.Metrics      // what is measured; nil: a set of its own
	LastGood  func() *LastGood      // what is kept for the next start; nil when nothing is
	Audit     *audit.Log            // where it is recorded who was refused, and where the lists are; nil: nowhere
	Judge     *judge.Judge          // nil: it is off
	Events    http.Handler          // GET /policy/events; nil: there are none
	AuthZEN   engine.Path           // the document that decides AuthZEN's evaluations; empty: authzen/allow
	Decisions *decisionlog.Log      // where decisions are logged; nil: nowhere
	// Validated is told of every reload of a validate-only sidecar; its error says that the reload
	// is not on record. Nil: nobody is told.
	Validated         func(context.Context, engine.Report) error
	Version           string      // of the program, for the status
	TLS               *tls.Config // nil: plain HTTP
	RequestsPerSecond int         // of one address beyond this machine; 0: DefaultRequestsPerSecond
	Logger            *zap.Logger // nil: nothing is logged
}

// Server answers HTTP for one engine.
type Server struct {
	cfg         Config
	tokenDigest [sha256.Size]byte
	started     time.Time
	throttle    *throttle
	handler     http.Handler
	guarded     atomic.Pointer[guarded] // of the generation that was asked last
}

// New makes a server; nothing is served before Run.
func New(cfg Config) (*Server, error) {
	if cfg.Token == "" {
		return nil, errors.New("api: Config.Token is required")
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
	if cfg.Metrics == nil {
		own, err := metrics.New(metrics.Config{Routes: Routes()})
		if err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
		cfg.Metrics = own
	}
	s := &Server{cfg: cfg, tokenDigest: sha256.Sum256([]byte(cfg.Token)), started: time.Now().UTC(), throttle: newThrottle(cmp.Or(cfg.RequestsPerSecond, DefaultRequestsPerSecond))}
	s.handler = s.routes()
	return s, nil
}

// ServeHTTP answers one request. Safe for concurrent use.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Run serves the listener until ctx ends, then lets requests under way end, for ten seconds at
// most. It closes the listener.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          zap.NewStdLog(s.cfg.Logger.Named("http")),
	}
	drained := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-ended:
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		err := server.Shutdown(grace)
		if err != nil {
			err = errors.Join(fmt.Errorf("drain requests for %s: %w", drainTimeout, err), server.Close())
		}
		drained <- err
	}()
	serve := server.Serve
	if s.cfg.TLS != nil {
		server.TLSConfig = s.cfg.TLS
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	err := serve(coarseListener{listener})
	close(ended)
	if drainErr := <-drained; errors.Is(err, http.ErrServerClosed) {
		return drainErr
	}
	return fmt.Errorf("serve %s: %w", listener.Addr(), err)
}
