package api

import (
	"context"
	"crypto/tls"
	"io/fs"
	"iter"
	"net/http"
	"sync/atomic"
	"time"

	"defenseclaw/api/accesslog"
	"defenseclaw/api/audit"
	"defenseclaw/api/bundlestatus"
	"defenseclaw/api/decisionlog"
	"defenseclaw/api/domains"
	"defenseclaw/api/gate"
	"defenseclaw/api/judge"
	"defenseclaw/api/metrics"
	"defenseclaw/api/opa"
	"defenseclaw/api/recorder"
	"defenseclaw/engine"
	"defenseclaw/engine/control"
	"defenseclaw/engine/explain"
	"defenseclaw/engine/review"

	"go.uber.org/zap"
)

// Config is what a Server needs. Token is required, and one of Engine and Source.
type Config struct {
	Engine    *engine.Engine        // nil in a validate-only sidecar, which serves no decisions
	Source    func() (fs.FS, error) // the policy directory, for the validate-only reload; required when Engine is nil
	PolicyDir string                // as the operator wrote it; empty when the embedded pack or a source serves
	SourceURL string                // of what is followed instead of a directory; empty: none

	SourceHealth   func() *Source              // how it goes with it; may be nil
	BundleStatus   func() bundlestatus.Update  // the same in OPA's words; nil: no bundles are followed, and no status is sent
	OPAConfig      func() map[string]any       // OPA's configuration, as it may be shown; may be nil
	BundlesMissing func() bool                 // a bundle that is followed has no part in what serves; nil: never
	Refresh        func(context.Context) error // fetches what a reload is about; may be nil
	Chosen         func() PolicyChoice         // how PolicyDir was chosen; may be nil
	DataDir        string                      // the sidecar's own directory, for GET /status
	Token          string                      // required; its name is [gate.DefaultName], and it may do everything
	BindHost       string                      // the host that the listener was bound to
	Watch          func() Watch                // the watch's health; nil when nothing is watched
	Metrics        *metrics.Metrics            // nil: the server's own
	Settings       func() *SettingsStatus      // how config.yaml was taken; nil: it is not read again
	LastGood       func() *LastGood            // the policy kept for the next start; nil when none is kept
	Parts          func() Parts                // those that the server does not know itself; may be nil
	Control        *control.Governor           // what is ordered about the policy that serves; nil when there is no directory
	// Fleet tells who follows the channel that is observed; nil: none is.
	Fleet func(context.Context, FleetQuery) (FleetAnswer, error)
	// Past is what served before; nil: nothing is kept.
	Past *Past
	// Actor names who caused a reload; nil: the trigger's actor.
	Actor func(engine.Report) string
	// Reviews are the reviews of changes; nil: none are made.
	Reviews *Reviews
	// Evaluate has evidence made about a step that somebody asks about: see [StepReplay]. What it could not do is in
	// Incomplete. nil: changes are not evaluated.
	Evaluate func(ctx context.Context, base, candidate *engine.Generation, steps []string) review.Evidence
	// Inspect refuses what a validate-only sidecar has loaded, as a check of the engine does; nil: nothing is refused.
	Inspect func(*engine.Generation) error
	// Verify is asked who signed what a validate-only sidecar loads; nil: no signature is asked for.
	Verify engine.Verify
	// Kept returns an earlier policy of the history by its name: a number, or the beginning of a revision. Its error may
	// wrap [ErrNoSide]. Nil: none is kept.
	Kept  func(ctx context.Context, name string) (fs.FS, error)
	Audit *audit.Log   // records refused callers and holds the lists; nil: neither
	Judge *judge.Judge // nil: off
	// Console are the pages for people; nil: there are none.
	Console Console
	Events  http.Handler // GET /policy/events; nil: 503
	// HILT returns the setting of the moment, for every decision of the guardrail; nil: it is off.
	HILT func() domains.HILT
	// Guardrail returns what GET /v1/guardrail/config answers; nil: 503.
	Guardrail func() GuardrailConfig
	// ChangeGuardrail is PATCH /v1/guardrail/config: it returns once the change is in force, or waits for a restart. Its
	// error may be a [*GuardrailConflict]. Nil: 503.
	ChangeGuardrail func(context.Context, GuardrailChange) (now GuardrailConfig, live bool, err error)

	DefaultDecision engine.Path // that POST of / makes; empty: system/main

	AuthZEN   engine.Path        // the document that decides AuthZEN's evaluations; empty: authzen/allow
	Decisions *decisionlog.Log   // nil: decisions are not logged
	Access    *accesslog.Log     // nil: requests are not logged
	Prints    *Prints            // nil: what the policy prints goes nowhere
	Recorder  *recorder.Recorder // nil: decisions are not recorded
	Elsewhere opa.Elsewhere      // evaluates what callers write in another process; nil: it is evaluated here
	// DecisionsElsewhere says that Elsewhere also evaluates decisions that are observed. The others are the
	// generation's: see [engine.Config].
	DecisionsElsewhere bool
	// FindToken returns a further token by its digest; nil: there are none. See [gate.Config].
	FindToken func(gate.Digest) (gate.Token, bool)
	// TokenDigests returns the digests of those tokens; nil: there are none.
	TokenDigests func() iter.Seq[gate.Digest]
	// StrictBuiltinErrors makes an error of a builtin an error of the decision on OPA's routes, too; without it
	// they answer as OPA does. The other routes are always strict.
	StrictBuiltinErrors bool
	// Unready says why the sidecar is not ready although a policy serves; nil: it always is then.
	Unready func() error
	// StaleSource says what follows while what policy comes from does not answer; nil: nothing ever does.
	StaleSource *StaleSource
	// Validated is called after every reload of a validate-only sidecar; its error means that the reload
	// is not on record, and the answer says so. Nil: not called.
	Validated         func(context.Context, engine.Report) error
	Version           string      // of the program, for the status
	TLS               *tls.Config // nil: plain HTTP
	RequestsPerSecond int         // of one remote address; see [gate.Config]
	AllowedHosts      []string    // names by which browsers may call; see [gate.Config]
	Logger            *zap.Logger // nil: nothing is logged
}

// Server answers HTTP for one engine.
type Server struct {
	cfg       Config
	gate      *gate.Gate
	started   time.Time
	directory string // of the process; empty: unknown
	handler   http.Handler
	leaving   atomic.Bool
	judge     atomic.Pointer[judge.Judge] // nil: off
	tries     chan struct{}               // one for each that runs

	outlines   outlines
	documented explain.Finder // of what serves
	covered    coverages
	outcomes   outcomesOf
	readings   readings
}

// Adjustment is the part of a [Config] that may change while the server runs.
type Adjustment struct {
	AllowedHosts      []string
	RequestsPerSecond int
	Judge             *judge.Judge
}

// Adjust replaces a part of the [Config]. Requests under way may see either. Safe for concurrent use.
func (s *Server) Adjust(a Adjustment) {
	s.gate.Adjust(a.AllowedHosts, a.RequestsPerSecond)
	s.judge.Store(a.Judge)
}

// Leave makes GET /health/ready answer 503 from now on, and every answer ask the caller to close its connection,
// so that callers go elsewhere. Requests are answered as before. Safe for concurrent use.
func (s *Server) Leave() { s.leaving.Store(true) }

// ServeHTTP answers one request. Safe for concurrent use.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }
