// Package decisionlog writes each decision as an event in the format of OPA's decision log: to a
// console, to a file that rotates, and to a service that speaks OPA's decision log API.
//
// Most callers need [New], [Log.Begin] for each decision, and [Log.Run], which does the work. A
// decision waits for none of it: what cannot be kept is dropped and counted, by why ([Log.Health]).
//
// Before an event is written, the generation that decided is asked whether to drop it and what to mask
// of it, as OPA's data.system.log.drop and data.system.log.mask. An event that this could not be found
// out about is not written. What is left of passwords, tokens and the like (secretNames) is erased.
package decisionlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
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

// Config says where events go. Zero fields mean the defaults given.
type Config struct {
	Console io.Writer // gets an event per line; nil: none

	File          string // gets an event per line, and is made with mode 0600; empty: none
	FileMegabytes int    // from this size on a file is put aside; default 100
	FileBackups   int    // so many of those are kept; default 5

	URL         string        // of a service: chunks of events are posted to URL/logs; empty: none
	Partition   string        // and to URL/logs/Partition where it is given
	Token       string        // is shown to the service as a bearer token; empty: none is
	MinDelay    time.Duration // between uploads at least; default 1 s
	MaxDelay    time.Duration // between uploads at most, also those that failed; default 10 s
	UploadBytes int           // of a compressed chunk at most; default 32768

	// BufferBytes bounds two things: roughly the decisions that wait to be made into events, and
	// exactly the events that wait for the service. Default 10 MiB.
	BufferBytes int

	Mask engine.Path // the document that says what to mask; default system/log/mask
	Drop engine.Path // the document that says whether to drop; default system/log/drop

	Version string      // of the program, one of the labels
	Logger  *zap.Logger // hears why events are dropped, once a minute at most for each reason; nil: nobody does
}

// Limits that nobody configures.
const (
	mostQueued     = 8192            // decisions that wait to be made into events
	drainTimeout   = 5 * time.Second // for what waits when Run ends, and then for the service
	abandonTimeout = time.Second     // for either to give up
	busyDelay      = 10 * time.Millisecond
)

// Log is one decision log. All methods are safe for concurrent use.
type Log struct {
	cfg    Config
	labels map[string]string

	queue  chan *record
	queued atomic.Int64 // bytes of what is in the queue, roughly

	file   *timberjack.Logger // nil: none
	upload *uploader          // nil: none

	policies policies // of the newest event; the writing goroutine's own
	counts
}

// record is one decision, not yet an event.
type record struct {
	generation *engine.Generation
	question   decision.Question
	query      string
	answer     decision.Answer
	span       trace.SpanContext
	took       time.Duration
	ended      time.Time
	size       int64
}

// New makes a log and its file. Nothing is written before [Log.Run].
func New(cfg Config) (*Log, error) {
	cfg.FileMegabytes, cfg.FileBackups = cmp.Or(cfg.FileMegabytes, 100), cmp.Or(cfg.FileBackups, 5)
	cfg.MinDelay, cfg.MaxDelay = cmp.Or(cfg.MinDelay, time.Second), cmp.Or(cfg.MaxDelay, 10*time.Second)
	cfg.UploadBytes, cfg.BufferBytes = cmp.Or(cfg.UploadBytes, 32<<10), cmp.Or(cfg.BufferBytes, 10<<20)
	if cfg.Mask == nil {
		cfg.Mask = engine.Path{"system", "log", "mask"}
	}
	if cfg.Drop == nil {
		cfg.Drop = engine.Path{"system", "log", "drop"}
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	switch {
	case cfg.MinDelay < 0 || cfg.MinDelay > cfg.MaxDelay:
		return nil, fmt.Errorf("decision log: the least delay, %s, is more than the longest, %s", cfg.MinDelay, cfg.MaxDelay)
	case cfg.FileMegabytes < 0 || cfg.FileBackups < 0 || cfg.UploadBytes < leastChunkBytes || cfg.BufferBytes < 0:
		return nil, errors.New("decision log: a limit is too small")
	}
	l := &Log{
		cfg: cfg, labels: map[string]string{"id": uuid.NewString()}, queue: make(chan *record, mostQueued),
		counts: counts{logger: cfg.Logger},
	}
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
			return nil, fmt.Errorf("decision log: %q is no http or https URL", cfg.URL)
		}
		l.upload = newUploader(cfg, u, &l.counts)
	}
	return l, nil
}

// openFile makes the file, so that one that cannot be written is refused at the start.
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

// Begin notes a decision that is about to be made by g; end, how it ended. Neither waits for anything.
// The question has an identifier.
func (l *Log) Begin(ctx context.Context, g *engine.Generation, q decision.Question) (end func(decision.Answer)) {
	r := &record{generation: g, question: q, span: trace.SpanContextFromContext(ctx)}
	if q.Query != nil {
		r.query = q.Query.String()
	}
	began := time.Now()
	return func(a decision.Answer) {
		r.took, r.ended, r.answer = time.Since(began), time.Now().UTC(), a
		l.enqueue(r)
	}
}

func (l *Log) enqueue(r *record) {
	r.size = int64(sizeOf(r.question.Input) + sizeOf(r.answer.Result))
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
