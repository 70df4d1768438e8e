package decisionlog

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/util"
	"go.uber.org/zap"
)

const (
	minChunkBytes  = 1 << 10
	minRetryDelay  = 100 * time.Millisecond
	maxLastDelay   = 500 * time.Millisecond // between tries while the sidecar stops
	requestTimeout = 30 * time.Second
	maxAnswerBytes = 64 << 10
)

// uploader posts events to a service. The waiting events are limited; the oldest are dropped for new ones.
type uploader struct {
	cfg    Config
	target *url.URL
	client *http.Client
	counts *counts
	chunks chunker
	ready  chan struct{} // holds a value while enough events for a chunk wait

	mu      sync.Mutex
	waiting [][]byte
	bytes   int // of waiting
}

func newUploader(cfg Config, u *url.URL, c *counts) *uploader {
	target := u
	if cfg.Post == nil {
		target = u.JoinPath("logs")
	}
	if cfg.Post == nil && cfg.Partition != "" {
		target = target.JoinPath(cfg.Partition)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck,forcetypeassert // net/http says so
	return &uploader{
		cfg: cfg, target: target, counts: c, chunks: chunker{limit: cfg.UploadBytes, rawBytes: cfg.UploadBytes},
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // following it as a GET would lose the events
		}},
		ready: make(chan struct{}, 1),
	}
}

var errBufferFull = errors.New("the service accepts events more slowly than they arrive")

// add appends events to the waiting ones.
func (u *uploader) add(events ...[]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waiting = append(u.waiting, events...)
	u.account(events)
	if u.bytes >= u.cfg.UploadBytes {
		select {
		case u.ready <- struct{}{}:
		default:
		}
	}
}

// putBack puts events before the waiting ones.
func (u *uploader) putBack(events [][]byte) {
	if len(events) == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waiting = slices.Concat(events, u.waiting)
	u.account(events)
}

// account counts the bytes of added events, and drops the oldest events beyond BufferBytes.
func (u *uploader) account(added [][]byte) {
	u.bytes += sizeOfAll(added)
	dropped := 0
	for ; u.bytes > u.cfg.BufferBytes; dropped++ {
		u.bytes -= len(u.waiting[dropped])
	}
	clear(u.waiting[:dropped]) // release the memory of the dropped events
	u.waiting = u.waiting[dropped:]
	if dropped > 0 {
		u.counts.drop(DroppedBuffer, dropped, errBufferFull)
	}
}

// take removes events from the front, up to maxBytes but at least one if there is any.
func (u *uploader) take(maxBytes int) (taken [][]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, size := 0, 0
	for n < len(u.waiting) && (n == 0 || size+len(u.waiting[n]) <= maxBytes) {
		size += len(u.waiting[n])
		n++
	}
	taken = slices.Clone(u.waiting[:n])
	clear(u.waiting[:n])
	u.waiting, u.bytes = u.waiting[n:], u.bytes-size
	return taken
}

// run uploads until stop is closed, and then until nothing waits. When ctx ends, it stops at once.
func (u *uploader) run(ctx context.Context, stop <-chan struct{}) {
	defer u.client.CloseIdleConnections()
	for failures := 0; ; {
		stopping := u.wait(stop, failures)
		err := u.uploadAll(ctx)
		if stopping {
			u.finish(ctx, err)
			return
		}
		failures++
		if err == nil {
			failures = 0
		} else {
			u.counts.failed(SinkService, err)
			u.counts.warn("decision log events could not be uploaded; they are kept and sent again", err)
		}
	}
}

// wait returns when the next upload is due, and whether it is the last one.
func (u *uploader) wait(stop <-chan struct{}, failures int) (stopping bool) {
	delay, ready := u.cfg.MinDelay+rand.N(u.cfg.MaxDelay-u.cfg.MinDelay+1), u.ready
	if failures > 0 { // back off from a failing service, however many events wait
		delay, ready = util.DefaultBackoff(float64(minRetryDelay), float64(u.cfg.MaxDelay), failures-1), nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ready:
	case <-stop:
		return true
	}
	return false
}

// finish tries again after err until nothing waits or ctx ends, and counts what remains then.
func (u *uploader) finish(ctx context.Context, err error) {
	for tries := 0; err != nil; tries++ {
		if within(util.DefaultBackoff(float64(minRetryDelay), float64(maxLastDelay), tries), ctx.Done()) {
			break
		}
		if again := u.uploadAll(ctx); again == nil || ctx.Err() == nil {
			err = again // the reason why it was not accepted, not that the time is over
		}
	}
	if left := len(u.take(math.MaxInt)); left > 0 {
		u.counts.drop(DroppedShutdown, left, err)
	}
}

// uploadAll uploads the waiting events. A chunk that is not accepted goes to the end of the waiting events.
// Chunks that the service rejects as invalid are halved with each try, until the invalid event is alone and
// is dropped.
func (u *uploader) uploadAll(ctx context.Context) error {
	for {
		events := u.take(u.chunks.rawBytes)
		if len(events) == 0 {
			return nil
		}
		chunk, used := u.chunks.pack(events)
		if used == 0 {
			u.counts.drop(DroppedTooLarge, 1, errTooLarge)
			u.putBack(events[1:])
			continue
		}
		u.putBack(events[used:])
		invalid, err := u.post(ctx, chunk)
		switch {
		case err == nil:
			u.counts.write(SinkService, used)
		case invalid && used == 1:
			u.counts.drop(DroppedRefused, 1, err)
		default:
			if invalid {
				u.chunks.rawBytes = sizeOfAll(events[:used]) / 2
			}
			u.add(events[:used]...)
			return err
		}
	}
}

var errTooLarge = errors.New("a single event exceeds the size limit of an upload")

// post sends a chunk. invalid means that the service will never accept it.
func (u *uploader) post(ctx context.Context, chunk []byte) (invalid bool, _ error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := u.send(ctx, chunk)
	if err != nil {
		return false, fmt.Errorf("upload events: %w", err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswerBytes)) // so that the connection can be reused
	err = errors.Join(err, answer.Body.Close())
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return slices.Contains(invalidStatuses, answer.StatusCode), fmt.Errorf("upload events: %s answered %s", u.target.Redacted(), answer.Status)
	}
	if err != nil {
		u.counts.logger.Debug("the response to an upload is incomplete", zap.Error(err)) // the upload was accepted
	}
	return false, nil
}

func (u *uploader) send(ctx context.Context, chunk []byte) (*http.Response, error) {
	if u.cfg.Post != nil {
		return u.cfg.Post(ctx, chunk)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.target.String(), bytes.NewReader(chunk))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	if u.cfg.Token != "" {
		r.Header.Set("Authorization", "Bearer "+u.cfg.Token)
	}
	return u.client.Do(r)
}

// invalidStatuses are the statuses that mean that a retry would fail too.
var invalidStatuses = []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity}

// chunker packs events as services for OPA expect them: compressed JSON arrays of at most limit bytes.
type chunker struct {
	limit    int
	rawBytes int // bytes of events that are likely to fit into limit, learned from earlier chunks
}

// pack packs as many events as fit, from the first on. used is 0 if the first alone is too large.
func (c *chunker) pack(events [][]byte) (chunk []byte, used int) {
	raw := sizeOfAll(events)
	for n := len(events); ; n = (n + 1) / 2 {
		chunk := compress(events[:n])
		switch {
		case len(chunk) <= c.limit:
			if n == len(events) && len(chunk) < c.limit/2 && raw > c.rawBytes/2 {
				c.rawBytes = max(2*c.rawBytes, minChunkBytes)
			}
			return chunk, n
		case n == 1:
			return nil, 0
		}
		c.rawBytes = max(c.limit, c.rawBytes/2)
	}
}

func sizeOfAll(events [][]byte) (size int) {
	for _, e := range events {
		size += len(e)
	}
	return size
}

func compress(events [][]byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte{'['}) // writing to a buffer does not fail
	for i, e := range events {
		if i > 0 {
			_, _ = w.Write([]byte{','})
		}
		_, _ = w.Write(e)
	}
	_, _ = w.Write([]byte{']'})
	_ = w.Close()
	return b.Bytes()
}
