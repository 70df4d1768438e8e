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
	leastChunkBytes = 1 << 10
	leastRetryDelay = 100 * time.Millisecond
	requestTimeout  = 30 * time.Second
	mostAnswerBytes = 64 << 10
)

// uploader posts events to a service. Those that wait are bounded; the ones at the front make room for new ones.
type uploader struct {
	cfg    Config
	target *url.URL
	client *http.Client
	counts *counts
	chunks chunker
	ready  chan struct{} // holds one while a chunk's worth of events waits

	mu      sync.Mutex
	waiting [][]byte
	bytes   int // of waiting
}

func newUploader(cfg Config, u *url.URL, c *counts) *uploader {
	target := u.JoinPath("logs")
	if cfg.Partition != "" {
		target = target.JoinPath(cfg.Partition)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck,forcetypeassert // net/http says so
	return &uploader{
		cfg: cfg, target: target, counts: c, chunks: chunker{limit: cfg.UploadBytes, most: cfg.UploadBytes},
		client: &http.Client{Transport: transport, Timeout: requestTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a GET in place of the POST would lose the events
		}},
		ready: make(chan struct{}, 1),
	}
}

var errBufferFull = errors.New("the service does not take events as fast as they come")

// add puts events at the end of those that wait.
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

// putBack puts events before those that wait.
func (u *uploader) putBack(events [][]byte) {
	if len(events) == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waiting = slices.Concat(events, u.waiting)
	u.account(events)
}

// account counts the bytes of what was added, and drops from the front what is too much.
func (u *uploader) account(added [][]byte) {
	u.bytes += sizeOfAll(added)
	dropped := 0
	for ; u.bytes > u.cfg.BufferBytes; dropped++ {
		u.bytes -= len(u.waiting[dropped])
	}
	clear(u.waiting[:dropped]) // what is dropped takes no memory until the slice moves
	u.waiting = u.waiting[dropped:]
	if dropped > 0 {
		u.counts.drop(DroppedBuffer, dropped, errBufferFull)
	}
}

// take removes the next events from the front: of most bytes at most, but one where there is any.
func (u *uploader) take(most int) (taken [][]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, size := 0, 0
	for n < len(u.waiting) && (n == 0 || size+len(u.waiting[n]) <= most) {
		size += len(u.waiting[n])
		n++
	}
	taken = slices.Clone(u.waiting[:n])
	clear(u.waiting[:n])
	u.waiting, u.bytes = u.waiting[n:], u.bytes-size
	return taken
}

// run uploads until stop is closed, and then once more what waits still. ctx ends that as well.
func (u *uploader) run(ctx context.Context, stop <-chan struct{}) {
	defer u.client.CloseIdleConnections()
	for failures := 0; ; {
		stopping := u.wait(stop, failures)
		err := u.uploadAll(ctx)
		if stopping {
			u.giveUp(err)
			return
		}
		failures++
		if err == nil {
			failures = 0
		} else {
			u.counts.complain("decision log events could not be uploaded; they are kept and sent again", err)
		}
	}
}

// wait returns when it is time to upload, and whether that is the last time.
func (u *uploader) wait(stop <-chan struct{}, failures int) (stopping bool) {
	delay, ready := u.cfg.MinDelay+rand.N(u.cfg.MaxDelay-u.cfg.MinDelay+1), u.ready
	if failures > 0 { // a service in trouble is not asked more often because there is more to say
		delay, ready = util.DefaultBackoff(float64(leastRetryDelay), float64(u.cfg.MaxDelay), failures-1), nil
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

// giveUp counts what is left at the end.
func (u *uploader) giveUp(err error) {
	if left := len(u.take(math.MaxInt)); left > 0 {
		u.counts.drop(DroppedShutdown, left, err)
	}
}

// uploadAll uploads what waits. What is not accepted goes to the end of what waits. A chunk that the
// service finds wrong is halved with each try, until the event is alone that is at fault, and is dropped.
func (u *uploader) uploadAll(ctx context.Context) error {
	for {
		events := u.take(u.chunks.most)
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
		wrong, err := u.post(ctx, chunk)
		switch {
		case err == nil:
			u.counts.wrote(SinkService, used)
		case wrong && used == 1:
			u.counts.drop(DroppedRefused, 1, err)
		default:
			if wrong {
				u.chunks.most = sizeOfAll(events[:used]) / 2
			}
			u.add(events[:used]...)
			return err
		}
	}
}

var errTooLarge = errors.New("an event alone is larger than the limit of an upload")

// post sends a chunk. wrong says that the service will never accept it.
func (u *uploader) post(ctx context.Context, chunk []byte) (wrong bool, _ error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.target.String(), bytes.NewReader(chunk))
	if err != nil {
		return false, fmt.Errorf("upload events: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	if u.cfg.Token != "" {
		r.Header.Set("Authorization", "Bearer "+u.cfg.Token)
	}
	answer, err := u.client.Do(r)
	if err != nil {
		return false, fmt.Errorf("upload events: %w", err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, mostAnswerBytes)) // so that the connection can be used again
	err = errors.Join(err, answer.Body.Close())
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return slices.Contains(wrongEvents, answer.StatusCode), fmt.Errorf("upload events: %s answered %s", u.target.Redacted(), answer.Status)
	}
	if err != nil {
		u.counts.logger.Debug("the answer to an upload broke off", zap.Error(err)) // it was accepted all the same
	}
	return false, nil
}

// wrongEvents are the statuses by which a service says that the next try will be no better.
var wrongEvents = []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity}

// chunker packs events as OPA's services expect them: compressed JSON arrays of limit bytes at most.
type chunker struct {
	limit int
	most  int // bytes of events that are likely to fit, learnt from the chunks before
}

// pack packs as many events as fit, from the first on. None of them does when the first alone is too large.
func (c *chunker) pack(events [][]byte) (chunk []byte, used int) {
	raw := sizeOfAll(events)
	for n := len(events); ; n = (n + 1) / 2 {
		chunk := compress(events[:n])
		switch {
		case len(chunk) <= c.limit:
			if n == len(events) && len(chunk) < c.limit/2 && raw > c.most/2 {
				c.most = max(2*c.most, leastChunkBytes)
			}
			return chunk, n
		case n == 1:
			return nil, 0
		}
		c.most = max(c.limit, c.most/2)
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
	_, _ = w.Write([]byte{'['}) // a buffer takes everything
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
