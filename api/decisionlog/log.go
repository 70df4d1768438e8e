// Package decisionlog writes each decision as an event in the format of OPA's decision log: to a
// console, to a rotating file, and to a service with OPA's decision log API.
//
// Most callers need [New], [Log.Begin] for each decision, and [Log.Run], which does the work. No decision
// waits for it: an event that cannot be kept is dropped and counted by reason ([Log.Health]).
//
// Before an event is written, the policies data.system.log.drop and data.system.log.mask of the generation
// that decided say whether to drop it and what to mask, as in OPA. If they fail, the event is dropped. Then
// what remains of secrets is erased (eraseSecrets), and the headers
// and bodies of Envoy's requests that no setting asks for (eraseEnvoy).
package decisionlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"github.com/DeRuina/timberjack"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// Config configures [New]. Zero fields mean the defaults given.
type Config struct {
	Console io.Writer // receives an event per line; nil: none

	File          string // receives an event per line; created with mode 0600; empty: none
	FileMegabytes int    // a file of this size is rotated; default 100
	FileBackups   int    // number of rotated files to keep; default 5

	URL         string        // of a service; events are posted to URL/logs; empty: none
	Partition   string        // if set, events are posted to URL/logs/Partition
	Token       string        // bearer token for the service; empty: none
	MinDelay    time.Duration // minimum time between uploads; default 1 s
	MaxDelay    time.Duration // maximum time between uploads, also after failures; default 10 s
	UploadBytes int           // maximum size of an upload, compressed; default 32768

	// BufferBytes limits the estimated size of decisions waiting to become events and, separately, the
	// exact size of events waiting for the service. Default 10 MiB.
	BufferBytes int

	Mask engine.Path // the document that says what to mask; default system/log/mask
	Drop engine.Path // the document that says whether to drop; default system/log/drop

	// Headers of the requests that Envoy describes, in lower case; the others are erased. One that ends in * stands for
	// all that begin so. Nil: those that say what was asked for (defaultHeaders).
	EnvoyHeaders []string
	EnvoyBodies  bool // log the bodies of these requests

	SecretNames []string // more names whose values are erased: those of fields that contain one
	PlainNames  []string // names whose values are logged, although they look like names of secrets

	// Post sends a chunk to the service instead of a request to URL, which then only names it. Nil: a request is sent.
	Post func(ctx context.Context, chunk []byte) (*http.Response, error)

	Labels  map[string]string // of every event, in addition to the program's own, which are id and version
	ID      string            // the label; empty: a random one
	Version string            // of the program, one of the labels
	Logger  *zap.Logger       // logs why events are dropped, at most once a minute for each reason; nil: none
}

// Limits without a setting.
const (
	maxQueued      = 8192            // decisions waiting to become events
	drainTimeout   = 5 * time.Second // for waiting decisions when Run ends, and then for the service
	abandonTimeout = time.Second     // for either to stop after its context has ended
	busyDelay      = 10 * time.Millisecond
)

// Log is one decision log. All methods are safe for concurrent use.
type Log struct {
	cfg    Config
	labels map[string]string

	queue  chan *record
	queued atomic.Int64 // estimated bytes of the records in queue

	file   *timberjack.Logger // nil: none
	upload *uploader          // nil: none

	decidedBy decidedBy // as policies
	policies  policies  // of the last event; used by the writing goroutine only, as are the names
	names     *names
	envoy     envoy
	counts
}

// record is one decision, not yet an event.
type record struct {
	generation *engine.Generation
	question   decision.Question
	query      string
	answer     decision.Answer
	span       trace.SpanContext
	duration   time.Duration
	ended      time.Time
	size       int64
}

// New makes a log and creates its file. Nothing is written before [Log.Run].
func New(cfg Config) (*Log, error) {
	cfg.FileMegabytes, cfg.FileBackups = cmp.Or(cfg.FileMegabytes, 100), cmp.Or(cfg.FileBackups, 5)
	cfg.MinDelay, cfg.MaxDelay = cmp.Or(cfg.MinDelay, time.Second), cmp.Or(cfg.MaxDelay, 10*time.Second)
	cfg.UploadBytes, cfg.BufferBytes = cmp.Or(cfg.UploadBytes, 32<<10), cmp.Or(cfg.BufferBytes, 10<<20)
	cfg.setPolicies()
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop())
	switch {
	case cfg.MinDelay < 0 || cfg.MinDelay > cfg.MaxDelay:
		return nil, fmt.Errorf("decision log: the minimum delay, %s, exceeds the maximum delay, %s", cfg.MinDelay, cfg.MaxDelay)
	case cfg.FileMegabytes < 0 || cfg.FileBackups < 0 || cfg.UploadBytes < minChunkBytes || cfg.BufferBytes < 0:
		return nil, fmt.Errorf("decision log: a limit is negative, or the upload limit is below %d bytes", minChunkBytes)
	}
	l := &Log{
		cfg: cfg, labels: map[string]string{}, queue: make(chan *record, maxQueued),
		counts: counts{logger: cfg.Logger},
		names:  newNames(cfg.SecretNames, cfg.PlainNames), envoy: newEnvoy(cfg.EnvoyHeaders, cfg.EnvoyBodies),
	}
	maps.Copy(l.labels, cfg.Labels)
	l.labels["id"] = cmp.Or(cfg.ID, uuid.NewString())
	if cfg.Version != "" {
		l.labels["version"] = cfg.Version
	}
	if cfg.File != "" {
		if err := l.openFile(); err != nil {
			return nil, err
		}
	}
	if cfg.URL != "" {
		u, err := url.Parse(cfg.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("decision log: %q is not an http or https URL", cfg.URL)
		}
		l.upload = newUploader(cfg, u, &l.counts)
	}
	return l, nil
}

// Sinks are where events go.
func (l *Log) Sinks() []string {
	sinks := []string{}
	if l.cfg.Console != nil {
		sinks = append(sinks, SinkConsole)
	}
	if l.file != nil {
		sinks = append(sinks, SinkFile)
	}
	if l.upload != nil {
		sinks = append(sinks, SinkService)
	}
	return sinks
}

// openFile creates the file, so that New fails if it cannot be written.
func (l *Log) openFile() error {
	const private = 0o600
	f, err := os.OpenFile(l.cfg.File, os.O_CREATE|os.O_WRONLY|os.O_APPEND, private)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("decision log: %w", err)
	}
	l.file = &timberjack.Logger{
		Filename: l.cfg.File, FileMode: private, MaxSize: l.cfg.FileMegabytes, MaxBackups: l.cfg.FileBackups, Compression: "none",
	}
	return nil
}

// Begin records a decision that g is about to make. Call end with its answer. Neither blocks. The question
// must have an ID.
func (l *Log) Begin(ctx context.Context, g *engine.Generation, q decision.Question) (end func(decision.Answer)) {
	r := &record{generation: g, question: q, span: trace.SpanContextFromContext(ctx)}
	if r.query = q.Text; q.Query != nil {
		r.query = q.Query.String()
	}
	start := q.Started
	if start.IsZero() {
		start = time.Now()
	}
	return func(a decision.Answer) {
		r.duration, r.ended, r.answer = time.Since(start), time.Now().UTC(), a
		l.enqueue(r)
	}
}

func (l *Log) enqueue(r *record) {
	r.size = int64(sizeOf(l.cfg.BufferBytes, r.question.Input, r.answer.Result))
	if l.queued.Add(r.size) > int64(l.cfg.BufferBytes) {
		l.queued.Add(-r.size)
		l.drop(DroppedQueue, 1, errQueueFull)
		return
	}
	select {
	case l.queue <- r:
	default:
		l.queued.Add(-r.size)
		l.drop(DroppedQueue, 1, errQueueFull)
	}
}

var errQueueFull = errors.New("decisions are made faster than their events can be written")
