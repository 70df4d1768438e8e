// Package metrics counts and times what the sidecar does, and tells it to whoever asks: Prometheus
// at [Metrics.Handler], and an OpenTelemetry collector where the standard OTEL_* variables name one.
//
// Most callers need [New], then one call per thing that happens: [Metrics.ReloadDone],
// [Metrics.StartDecision], [Metrics.Request] and the others. What is a state and no happening (which
// generation serves, how the watch is) is not reported here: it is read through [Config.Snapshot]
// when somebody asks.
//
// Every instrument stands in the table of table.go, with its name, unit, labels and their values, and
// nowhere else; docs/METRICS.md is compared with it. Every series whose labels are known is there from
// the start, at 0. A label value that is not in the table, such as the verdict that somebody's own
// policy answers, counts as "other", so no caller and no policy can make the number of series grow.
//
// Nothing is sent anywhere, and no trace is made, unless the OTEL_* variables ask for it.
package metrics

import (
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

// scope is the name under which OpenTelemetry knows this program's instruments and spans.
const scope = "defenseclaw"

// Config says what is measured. Zero fields mean the defaults given.
type Config struct {
	Version    string        // of the program; default "unknown"
	Routes     []string      // the patterns that Request is called with; any other counts as "other"
	VerdictTTL time.Duration // how long the judge's verdicts are cached, a label of the cache's metrics; default 30 s

	// Snapshot tells the states that are measured. It is called at every scrape and every export, at
	// times by several goroutines at once, and answers at once. Default: a zero Snapshot.
	Snapshot func() Snapshot

	// OnError hears of what could not be exported, possibly at every attempt. OpenTelemetry's SDK has
	// one such listener per process, so the New called last decides. Default: the SDK's own, which
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

	meters  *sdkmetric.MeterProvider
	spans   *sdktrace.TracerProvider // nil unless traces are exported
	flush   time.Duration
	tracer  trace.Tracer
	ttl     string
	codes   map[int]string
	goBuild [3]string

	evaluations, latency *vec // of vecs, for the path of every decision
}

// lastReload is what the newest attempts came to.
type lastReload struct {
	ok          bool
	succeededAt time.Time
}

// New makes the instruments and reads the OTEL_* variables. Where these ask for an export it has
// begun when New returns, and [Metrics.Run] must be called to end it; its errors say which variable
// is not understood.
func New(cfg Config) (*Metrics, error) {
	if cfg.Version == "" {
		cfg.Version = "unknown"
	}
	if cfg.VerdictTTL == 0 {
		cfg.VerdictTTL = 30 * time.Second
	}
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
	for _, code := range knownCodes {
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
	return m, nil
}

// ttlBucket writes a time to live as the systems before this one did: 30s, 100ms, 5m.
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

// Reload is how one attempt to reload the policy went.
type Reload struct {
	Trigger    string // startup, watch, poll, api or signal
	Status     string // success, unchanged or failed
	Start      time.Time
	Duration   time.Duration
	Generation uint64 // serves after the attempt
	Revision   string
	Error      string // why, when Status is failed
	Phases     []Phase
}

// Phase is one part of an attempt, as a trace shows it.
type Phase struct {
	Name     string
	Start    time.Time
	Duration time.Duration
	Error    string // what went wrong in it; empty when nothing did
}

// The ways in which an attempt ends.
const (
	StatusSuccess   = "success"
	StatusUnchanged = "unchanged"
	StatusFailed    = "failed"
)

// ReloadDone counts an attempt. One that found nothing changed counts as a success, which is what
// its caller was told; the duration tells the two apart.
func (m *Metrics) ReloadDone(ctx context.Context, r Reload) {
	now := &lastReload{ok: r.Status != StatusFailed, succeededAt: r.Start.Add(r.Duration)}
	counted := StatusSuccess
	if !now.ok {
		counted = StatusFailed
		now.succeededAt = m.reloads.Load().succeededAt
	}
	m.reloads.Store(now)
	m.vecs[policyReloads].add(counted)
	m.vecs[policyReloadDuration].took(ctx, r.Duration, r.Trigger, r.Status)
}

// Admission counts an admission's verdict, beside the decision that made it.
func (m *Metrics) Admission(ctx context.Context, targetType, verdict string, took time.Duration) {
	m.vecs[admissionDecisions].add(verdict, "api", targetType)
	if verdict == "blocked" || verdict == "rejected" {
		m.vecs[blockLatency].took(ctx, took, targetType)
	}
}

// CacheHit counts a judge's verdict that was found in the cache.
func (m *Metrics) CacheHit(kind, action string) {
	m.vecs[cacheHits].add("verdict", scannerOf(kind), action, m.ttl)
}

// CacheMiss counts a judge's verdict that was not.
func (m *Metrics) CacheMiss(kind string) {
	m.vecs[cacheMisses].add("verdict", scannerOf(kind), "none", m.ttl)
}

// JudgeCall counts a call to the judge: one that gave no verdict has the action [VerdictError] and the
// severity NONE.
func (m *Metrics) JudgeCall(ctx context.Context, kind, action, severity string, took time.Duration) {
	m.vecs[judgeInvocations].add(kind, action, severity)
	m.vecs[judgeLatency].took(ctx, took, kind)
}

// JudgeError counts that no verdict came of a question, by the judge's own word for why.
func (m *Metrics) JudgeError(kind, reason string) {
	m.vecs[judgeErrors].add(kind, reason)
}

// Request counts an answered HTTP request. The route is its pattern, never its path.
func (m *Metrics) Request(route string, code int) {
	m.vecs[httpRequests].add(route, m.codes[code])
}
