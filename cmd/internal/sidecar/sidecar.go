// Package sidecar wires watcher, engine and API into one running process, for the serve command and for
// tests. [New] acquires everything that can be refused: the data directory, the token, the addresses, the
// policy directory. [Sidecar.Run] runs until its context ends.
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/accesslog"
	"defenseclaw/api/audit"
	"defenseclaw/api/bundlestatus"
	"defenseclaw/api/decisionlog"
	"defenseclaw/api/events"
	"defenseclaw/api/extauthz"
	"defenseclaw/api/gate"
	"defenseclaw/api/judge"
	"defenseclaw/api/metrics"
	"defenseclaw/api/recorder"
	"defenseclaw/cmd/internal/fleet/observe"
	"defenseclaw/cmd/internal/schema"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/signed"
	"defenseclaw/cmd/internal/tokens"
	"defenseclaw/engine"
	"defenseclaw/engine/control"
	"defenseclaw/engine/history"
	"defenseclaw/engine/source"
	"defenseclaw/policies"
	"defenseclaw/watcher"
	"defenseclaw/worker"

	"github.com/google/uuid"
	"go.uber.org/zap"
)

// Config is what a Sidecar needs in addition to its settings.
type Config struct {
	Settings settings.Settings
	Snapshot *settings.Snapshot // what Settings are of; nil: config.yaml is not read again
	LogLevel func(level string) // sets the level of Logger; may be nil
	HUP      <-chan os.Signal   // each signal asks for a reload; may be nil
	Leaving  <-chan struct{}    // closed ShutdownDelay before the context of Run ends; nil without a delay
	Version  string             // of the program
	Stdout   io.Writer          // for the decision log, if the settings send it there; may be nil
	Logger   *zap.Logger
}

// Sidecar is one sidecar on one data directory.
type Sidecar struct {
	cfg     Config
	id      string       // of this run, by which decisions and status name it
	release func() error // unlocks the data directory

	listener      net.Listener
	local         net.Listener  // the Unix socket in the data directory; nil when there is none
	bindHost      string        // of the listener: the address bound to; empty for a Unix socket
	certificates  *certificates // nil without TLS
	envoyListener net.Listener  // nil when Envoy is not answered
	connections   *gate.Connections
	envoy         *extauthz.Server // the same

	engine     *engine.Engine    // nil when validating only
	history    *history.Store    // nil when there is no policy directory to restore
	keeper     *history.Keeper   // the same
	control    *control.Governor // the same
	loading    *loadMark         // the same
	watcher    *watcher.Watcher  // nil when nothing is watched
	origin     origin            // nil unless the source is no directory
	staleness  *staleness        // nil unless a source may be stale
	workers    *worker.Pool      // nil without isolation
	workerEnd  atomic.Pointer[api.WorkerEnd]
	pages      api.Console // nil: they are not served
	server     *api.Server
	metrics    *metrics.Metrics
	audit      *audit.Log
	events     *events.Hub
	judge      atomic.Pointer[judge.Judge] // nil when it is off
	decisions  *decisionlog.Log            // nil when it is off
	access     *accesslog.Log              // the same
	recorder   *recorder.Recorder          // the same
	tokens     *tokens.Follower
	unlimited  bool // no rate limit unless the settings give one; see rateLimit
	live       *liveSettings
	who        *who
	schema     schema.Guard // checks data before it serves
	strictness *strictness
	prints     *api.Prints
	reviewer   *reviews // nil when nothing is reviewed

	observer *observe.Observer // nil where no channel is observed

	statusSender *bundlestatus.Sender // nil unless OPA's configuration asks for it

	evaluations *evaluations    // nil when nothing is evaluated for a review
	signed      *signed.Sources // nil where no signature is asked for

	staleSource api.StaleSource // what follows of staleness
	began       time.Time
	onRecord    chan struct{} // closed when the start is on record, or could not be brought there in time

	differences sync.Mutex // of the file of differences
}

// New acquires the data directory, the token and the addresses, and makes the parts. On an error it
// releases what it acquired. The caller must run the sidecar that New returns: Run releases the rest.
func New(cfg Config) (_ *Sidecar, err error) {
	s := &Sidecar{cfg: cfg, began: time.Now(), onRecord: make(chan struct{}), id: uuid.NewString(), live: newLiveSettings(cfg), who: newWho(cfg.Settings.PolicyDir), strictness: newStrictness(cfg.Logger), prints: api.NewPrints(cfg.Logger)}
	if s.signed, err = signed.New(cfg.Settings); err != nil {
		return nil, err
	}
	if err := errors.Join(s.openHistory(), s.makeReviewer()); err != nil {
		return nil, err
	}
	if err := s.checkPolicyDir(); err != nil {
		return nil, err
	}
	if s.release, err = claim(cfg.Settings.DataDir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.history != nil {
		s.loading = s.openLoadMark()
		if err := s.openControl(); err != nil {
			return nil, err
		}
	}
	s.audit, err = audit.New(audit.Config{
		Path: filepath.Join(cfg.Settings.DataDir, "sidecar-audit.db"), Original: filepath.Join(cfg.Settings.DataDir, "audit.db"),
		MaxAge: cfg.Settings.AuditAge, MaxBytes: cfg.Settings.AuditBytes, Alarm: s.auditAlarm,
		Imported: s.reportImport,
	})
	if err != nil {
		return nil, err
	}
	s.reportLists()
	s.certificates, err = newCertificates(cfg.Settings.TLSCert, cfg.Settings.TLSKey, cfg.Settings.ClientCA, cfg.Logger)
	if err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	s.listenLocally()
	if err := errors.Join(s.listenForEnvoy(), s.limitConnections()); err != nil {
		return nil, err
	}
	s.tokens, err = tokens.Follow(tokens.Store{DataDir: cfg.Settings.DataDir}, s.reportTokens, s.recordTokens)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	token, byHand, err := s.findToken()
	if err != nil {
		return nil, err
	}
	if err := s.wire(token, byHand); err != nil {
		return nil, err
	}
	if err := s.makeEnvoy(); err != nil {
		return nil, err
	}
	return s, nil
}

// openHistory opens the store of last good policies. Each policy directory has its own store.
func (s *Sidecar) openHistory() (err error) {
	set := s.cfg.Settings
	place := set.Place()
	if place == "" || set.ValidateOnly {
		return nil
	}
	if opa := set.Source.OPA; opa != nil && !opa.Keeps() {
		s.cfg.Logger.Info("a bundle must not be on disk: no policy is kept for the next start, and none can be rolled back to or held")
		return nil
	}
	s.history, err = history.New(history.Config{
		Dir: set.HistoryDir(place), Version: s.cfg.Version, Keep: set.HistoryKeep, MaxTotalBytes: set.HistoryBytes,
		Notice: func(err error) { s.cfg.Logger.Warn("the index of the history was made anew", zap.Error(err)) },
	})
	if err != nil {
		return err
	}
	s.keeper, err = history.NewKeeper(history.KeeperConfig{Store: s.history, Actor: s.who.actor})
	return err
}

// checkPolicyDir refuses a directory that holds no policy at all, unless the policy of an earlier run
// can serve until it does. A broken policy is accepted: it may be repaired while the sidecar runs.
func (s *Sidecar) checkPolicyDir() error {
	dir := s.cfg.Settings.PolicyDir
	if dir == "" {
		return nil
	}
	if err := s.cfg.Settings.CheckPolicyDir(); err != nil {
		return err
	}
	if s.history != nil {
		if kept, err := s.history.Entries(); err == nil && len(kept) > 0 {
			return nil
		}
	}
	src, err := source.Open(dir, s.dirConfig())
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // it was only read
	if source.HasPolicy(context.Background(), src) {
		return nil
	}
	return fmt.Errorf("policy directory %s: %w", dir, engine.ErrNoPolicy)
}

func (s *Sidecar) close() error {
	var err error
	for _, l := range []net.Listener{s.listener, s.local, s.envoyListener} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	if s.audit != nil {
		err = errors.Join(err, s.audit.Close())
	}
	return errors.Join(err, s.release())
}

func (s *Sidecar) dirConfig() source.Config {
	return source.Config{AllowOutside: s.cfg.Settings.OutsideLinks, Overlays: s.cfg.Settings.Overlays}
}

// source opens the policy directory, or returns what was fetched last, or the embedded default pack.
func (s *Sidecar) source() (fs.FS, error) {
	if s.origin != nil {
		return s.origin.FS()
	}
	if s.cfg.Settings.PolicyDir == "" {
		return policies.FS(), nil
	}
	dir, err := source.Open(s.cfg.Settings.PolicyDir, s.dirConfig())
	if err != nil {
		return nil, err // not dir: a nil *Dir in an fs.FS is not nil
	}
	return dir, nil
}

// cause unwraps a network error to the reason. The messages around it name the address already.
func cause(err error) error {
	var opErr *net.OpError
	if errors.As(err, &opErr) {
		err = opErr.Err
	}
	var sysErr *os.SyscallError
	if errors.As(err, &sysErr) {
		err = sysErr.Err
	}
	return err
}

var _ io.Closer = (*source.Dir)(nil) // the engine closes what source opens
