// Package metrics counts and times what the sidecar does. Prometheus scrapes it at [Metrics.Handler];
// an OpenTelemetry collector receives it if the standard OTEL_* variables name one.
//
// Most callers need [New], then one call per event: [Metrics.ReloadDone], [Metrics.StartDecision],
// [Metrics.Request] and the others. States, such as the generation in service or the health of the
// watch, are read through [Config.Snapshot] at each scrape and export.
//
// table.go defines every instrument with its name, unit, labels and their values; a test compares
// docs/reference/metrics.md with it. Every series of declared label values is present from the start, at 0. A label
// value that is not declared, such as a verdict of the operator's own policy, counts as "other": neither a
// caller nor a policy can increase the number of series.
//
// Nothing is sent and no trace is made unless the OTEL_* variables request it.
//
// # Why the instruments are OpenTelemetry's
//
// With instruments of prometheus/client_golang, and a bridge from its registry to OTLP, gatherer (which
// converts milliseconds to seconds and adds series at 0) and vec would go. But OTLP would then see
// Prometheus's names and units, and the contract fixes the dotted names in milliseconds, such as
// defenseclaw.policy.latency, which dashboards of earlier systems use. So OTLP gets the instruments as they
// are, and /metrics gets them converted.
package metrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// scope is the OpenTelemetry instrumentation scope of this program's instruments and spans.
const scope = "defenseclaw"

// Config configures [New]. Zero fields mean the defaults given.
type Config struct {
	Version    string        // of the program; default "unknown"
	Routes     []string      // the patterns that Request is called with; any other counts as "other"
	VerdictTTL time.Duration // how long the judge caches verdicts, a label of the cache's metrics; default 30 s

	// Snapshot returns the states to measure. It is called at every scrape and export, possibly
	// concurrently, and must not block. Default: a zero Snapshot.
	Snapshot func() Snapshot

	// Bundles returns how it goes with the bundles that are followed. It is called as Snapshot is. Nil: there are none.
	Bundles func() map[string]Bundle

	// OnError is called with each error of an export, possibly at every attempt. OpenTelemetry's SDK has
	// one error handler per process, so the last call of New sets it. Default: the SDK's own, which
	// writes to standard error.
	OnError func(error)
}

// Metrics measures one sidecar. All methods are safe for concurrent use, and none waits for a network.
type Metrics struct {
	cfg      Config
	vecs     map[string]*vec
	reloads  atomic.Pointer[lastReload]
	registry *prometheus.Registry
	gatherer prometheus.Gatherer
	reader   sdkmetric.Reader // of the scrapes
	activity *activity

	meters  *sdkmetric.MeterProvider
	spans   *sdktrace.TracerProvider // nil unless traces are exported
	flush   time.Duration
	tracer  trace.Tracer
	ttl     string
	codes   map[int]string
	goBuild [3]string

	evaluations, latency *vec // two of vecs, without a look-up for each decision
}

// lastReload is the result of the newest attempts.
type lastReload struct {
	ok          bool
	succeededAt time.Time
}

// New makes the instruments and reads the OTEL_* variables. If these request an export, it has started
// when New returns, and [Metrics.Run] must be called to stop it. An error names the variable that is
// invalid.
func New(cfg Config) (*Metrics, error) {
	cfg.Version, cfg.VerdictTTL = cmp.Or(cfg.Version, "unknown"), cmp.Or(cfg.VerdictTTL, 30*time.Second)
	if cfg.Snapshot == nil {
		cfg.Snapshot = func() Snapshot { return Snapshot{} }
	}
	if cfg.OnError != nil {
		otel.SetErrorHandler(otel.ErrorHandlerFunc(cfg.OnError))
	}
	m := &Metrics{
		cfg:     cfg,
		vecs:    map[string]*vec{},
		ttl:     ttlBucket(cfg.VerdictTTL),
		codes:   map[int]string{},
		flush:   flushTimeout,
		goBuild: [3]string{cfg.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH},
	}
	m.reloads.Store(&lastReload{})
	for _, code := range declaredCodes {
		m.codes[code] = strconv.Itoa(code)
	}
	table := m.table()
	if err := m.export(table); err != nil {
		return nil, err
	}
	if err := m.build(table); err != nil {
		return nil, errors.Join(err, m.shutdown())
	}
	m.evaluations, m.latency = m.vecs[policyEvaluations], m.vecs[policyLatency]
	m.activity = newActivity(m.reader, m.evaluations, time.Now())
	return m, nil
}

// ttlBucket formats a time to live as earlier systems did: 30s, 100ms, 5m.
func ttlBucket(ttl time.Duration) string {
	switch {
	case ttl%time.Minute == 0:
		return fmt.Sprintf("%dm", ttl/time.Minute)
	case ttl%time.Second == 0:
		return fmt.Sprintf("%ds", ttl/time.Second)
	default:
		return ttl.String()
	}
}

// Reload describes one attempt to reload the policy.
type Reload struct {
	Trigger    string // startup, watch, poll, api or signal
	Status     string // success, unchanged or failed
	Start      time.Time
	Duration   time.Duration
	Generation uint64 // in service after the attempt
	Revision   string
	Error      string // the reason, if Status is failed
	Phases     []Phase
}

// Phase is one part of an attempt, a span of its trace.
type Phase struct {
	Name     string
	Start    time.Time
	Duration time.Duration
	Error    string // empty if it succeeded
}

// The results of an attempt.
const (
	StatusSuccess   = "success"
	StatusUnchanged = "unchanged"
	StatusFailed    = "failed"
)

// ReloadDone counts and times an attempt. The counter counts an unchanged policy as a success, as the
// caller's answer does; the histogram has separate series for the two.
func (m *Metrics) ReloadDone(ctx context.Context, r Reload) {
	now := &lastReload{ok: r.Status != StatusFailed, succeededAt: r.Start.Add(r.Duration)}
	counted := StatusSuccess
	if !now.ok {
		counted = StatusFailed
		now.succeededAt = m.reloads.Load().succeededAt
	}
	m.reloads.Store(now)
	m.vecs[policyReloads].add(counted)
	m.vecs[policyReloadDuration].observe(ctx, r.Duration, r.Trigger, r.Status)
}

// ReviewDone counts the review of a change. findings are by level; flips are by kind, and may be nil.
func (m *Metrics) ReviewDone(_ context.Context, verdict string, findings, flips map[string]int) {
	m.vecs[policyReviews].add(verdict)
	for level, n := range findings {
		m.vecs[policyFindings].addN(n, level)
	}
	for kind, n := range flips {
		m.vecs[policyReviewFlips].addN(n, kind)
	}
}

// ReviewStep times a step of a review: static, evidence or guards.
func (m *Metrics) ReviewStep(ctx context.Context, step string, took time.Duration) {
	m.vecs[policyReviewDuration].observe(ctx, took, step)
}

// Admission counts the verdict of an admission, in addition to its decision.
func (m *Metrics) Admission(ctx context.Context, targetType, verdict string, elapsed time.Duration) {
	m.vecs[admissionDecisions].add(verdict, "api", targetType)
	if verdict == "blocked" || verdict == "rejected" {
		m.vecs[blockLatency].observe(ctx, elapsed, targetType)
	}
}

// CacheHit counts a hit of the judge's verdict cache.
func (m *Metrics) CacheHit(kind, action string) {
	m.vecs[cacheHits].add("verdict", scannerOf(kind), action, m.ttl)
}

// CacheMiss counts a miss of the judge's verdict cache.
func (m *Metrics) CacheMiss(kind string) {
	m.vecs[cacheMisses].add("verdict", scannerOf(kind), "none", m.ttl)
}

// JudgeCall counts and times a call to the judge. A call without a verdict has the action [VerdictError]
// and the severity NONE.
func (m *Metrics) JudgeCall(ctx context.Context, kind, action, severity string, elapsed time.Duration) {
	m.vecs[judgeInvocations].add(kind, action, severity)
	m.vecs[judgeLatency].observe(ctx, elapsed, kind)
}

// JudgeError counts a question without a verdict. The reason is one of judge.Reason.
func (m *Metrics) JudgeError(kind, reason string) {
	m.vecs[judgeErrors].add(kind, reason)
}

// Request counts an answered HTTP request. The route is its pattern, not its path.
func (m *Metrics) Request(route string, code int) {
	m.vecs[httpRequests].add(route, m.codes[code])
}
