package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"

	"defenseclaw/api/audit"
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
	idleTimeout       = 2 * time.Minute
	drainTimeout      = 10 * time.Second
)

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
	// Validated is told of every reload of a validate-only sidecar; its error says that the reload
	// is not on record. Nil: nobody is told.
	Validated func(context.Context, engine.Report) error
	Version   string      // of the program, for the status
	Logger    *zap.Logger // nil: nothing is logged
}

// Server answers HTTP for one engine.
type Server struct {
	cfg         Config
	tokenDigest [sha256.Size]byte
	started     time.Time
	handler     http.Handler
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
	if cfg.Metrics == nil {
		own, err := metrics.New(metrics.Config{Routes: Routes()})
		if err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
		cfg.Metrics = own
	}
	s := &Server{cfg: cfg, tokenDigest: sha256.Sum256([]byte(cfg.Token)), started: time.Now().UTC()}
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
	err := server.Serve(listener)
	close(ended)
	if drainErr := <-drained; errors.Is(err, http.ErrServerClosed) {
		return drainErr
	}
	return fmt.Errorf("serve %s: %w", listener.Addr(), err)
}
