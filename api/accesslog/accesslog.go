// Package accesslog writes a line of JSON for each request that was answered: who asked which route, what came of it, and how
// long it took. It never holds a token, a query string or a body.
//
// [Log.Write] never waits: lines that a slow disk cannot take are dropped, and the next line says how many.
package accesslog

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/DeRuina/timberjack"
)

// An Entry is a request that was answered.
type Entry struct {
	Time       time.Time `json:"time"` // of its arrival
	Method     string    `json:"method"`
	Route      string    `json:"route,omitempty"` // the pattern; empty: a page of the console
	Path       string    `json:"path"`            // without its query; the beginning of a very long one
	Status     int       `json:"status"`
	Bytes      int64     `json:"bytes"` // of the answer's body
	MS         float64   `json:"ms"`    // from the arrival to the end of the answer
	DecisionID string    `json:"decision_id,omitempty"`
	Caller     string    `json:"caller,omitempty"` // the name of its token, or the user over a Unix socket; empty: not admitted
	Address    string    `json:"address,omitempty"`
	RequestID  string    `json:"request_id,omitempty"`
	Sample     float64   `json:"sample"`            // the share of such requests that is written
	Dropped    int64     `json:"dropped,omitempty"` // lines before this one that were lost
}

// Config is what a Log needs.
type Config struct {
	File      string    // is appended to; empty: Writer is used
	Writer    io.Writer // one call of Write a line
	Megabytes int       // a file of this size is rotated
	Backups   int       // rotated files to keep
	Sample    float64   // the share of requests that is written, above 0; errors of the server always are
	// Lost is called with the first error of writing, and with the first after a success. Nil: not called.
	Lost func(error)
}

// Log is an access log. All methods but Run are safe for concurrent use.
type Log struct {
	cfg     Config
	out     io.Writer
	close   func() error
	queue   chan Entry
	dropped atomic.Int64
}

const maxQueued, maxPath = 4096, 1024

// New makes a log. Lines are written once [Log.Run] runs.
func New(cfg Config) (*Log, error) {
	l := &Log{cfg: cfg, out: cfg.Writer, close: func() error { return nil }, queue: make(chan Entry, maxQueued)}
	if cfg.File == "" {
		return l, nil
	}
	const private = 0o600
	f, err := os.OpenFile(cfg.File, os.O_CREATE|os.O_WRONLY|os.O_APPEND, private) //nolint:gosec // the operator's own file
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	file := &timberjack.Logger{Filename: cfg.File, FileMode: private, MaxSize: cfg.Megabytes, MaxBackups: cfg.Backups, Compression: "none"}
	l.out, l.close = file, file.Close
	return l, nil
}

// Write hands an entry to Run, or drops it. It sets Sample, MS, and shortens the path.
func (l *Log) Write(e Entry) {
	const serverError = 500
	e.Sample = 1
	if e.Status < serverError && l.cfg.Sample < 1 {
		if rand.Float64() >= l.cfg.Sample { //nolint:gosec // a sample
			return
		}
		e.Sample = l.cfg.Sample
	}
	e.MS = float64(time.Since(e.Time).Microseconds()) / 1000
	e.Path = e.Path[:min(len(e.Path), maxPath)]
	select {
	case l.queue <- e:
	default:
		l.dropped.Add(1)
	}
}

// Run writes what was handed over until ctx ends, and then the rest.
func (l *Log) Run(ctx context.Context) error {
	wrong := false
	for {
		select {
		case e := <-l.queue:
			wrong = l.write(e, wrong)
		case <-ctx.Done():
			for len(l.queue) > 0 {
				wrong = l.write(<-l.queue, wrong)
			}
			return l.close()
		}
	}
}

// write returns whether it went wrong. before is what it returned last.
func (l *Log) write(e Entry, before bool) bool {
	e.Dropped = l.dropped.Swap(0)
	line, err := json.Marshal(e)
	if err == nil {
		_, err = l.out.Write(append(line, '\n'))
	}
	if err == nil {
		return false
	}
	l.dropped.Add(1 + e.Dropped)
	if !before && l.cfg.Lost != nil {
		l.cfg.Lost(err)
	}
	return true
}
