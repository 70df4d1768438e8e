package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	firstPause    = 500 * time.Millisecond // after an error; doubled for each further one
	maxRetryAfter = 10 * time.Minute       // that a server may ask for
	// longPollType is the content type by which a server says that it can wait.
	longPollType = "application/vnd.openpolicyagent.bundles"
)

// follow asks for one bundle until ctx ends.
func (s *Source) follow(ctx context.Context, name string, get Get) {
	pace, failures, waits := s.paceOf(name), 0, true // as long as nothing is known, the server is offered to wait
	for {
		sent := time.Now()
		answer, err := s.ask(ctx, name, get, waits)
		if ctx.Err() != nil {
			return
		}
		if s.note(name, sent, answer, err) {
			select {
			case s.news <- struct{}{}:
			default:
			}
		}
		pause := between(pace.Min, pace.Max)
		switch {
		case err != nil:
			pause = max(backoff(failures, (pace.Min+pace.Max)/2), answer.retryAfter)
			failures++
		case answer.waits && pace.LongPoll > 0:
			pause, failures = max(0, shortestLongPoll-time.Since(sent)), 0
		default:
			failures = 0
		}
		waits = answer.waits || err != nil
		if !sleep(ctx, pause) {
			return
		}
	}
}

// paceOf is the pace of a bundle.
func (s *Source) paceOf(name string) Pace {
	p := s.cfg.Pace[name]
	if p.Max == 0 {
		p.Min, p.Max = s.cfg.Poll/2, s.cfg.Poll*3/2
	}
	if p.LongPoll == 0 {
		p.LongPoll = s.cfg.LongPoll
	}
	return p
}

// shortestLongPoll keeps a server that says it waits and does not from being asked without a pause.
const shortestLongPoll = time.Second

// answer is what a request came to.
type answer struct {
	version    *version // nil: none was sent
	waits      bool     // the server can wait for news
	retryAfter time.Duration
}

// version is one that was sent.
type version struct {
	etag     string
	bytes    uint64
	unpacked Unpacked
	refused  error // why there is no unpacked
}

// ask sends one request. An error means that the server did not say whether there are news.
func (s *Source) ask(ctx context.Context, name string, get Get, mayWait bool) (answer, error) {
	timeout, prefer := requestTimeout, "modes=snapshot"
	if wait := s.paceOf(name).LongPoll; mayWait && wait > 0 {
		timeout += wait
		prefer += ";wait=" + strconv.Itoa(int(wait.Seconds()))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	header := http.Header{"Prefer": {prefer}}
	if etag := s.etag(name); etag != "" {
		header.Set("If-None-Match", etag)
	}
	response, err := get(ctx, header)
	if err != nil {
		return answer{}, err
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, response.Body, 1<<12) // so that the connection is used again
		_ = response.Body.Close()
	}()
	a := answer{waits: strings.HasPrefix(response.Header.Get("Content-Type"), longPollType)}
	switch response.StatusCode {
	case http.StatusOK:
		a.version, err = s.read(ctx, name, response)
		return a, err
	case http.StatusNotModified:
		return a, nil
	default:
		a.retryAfter = min(retryAfter(response.Header, time.Now()), maxRetryAfter)
		return a, &StatusError{response.StatusCode, response.Status}
	}
}

// requestTimeout bounds a request beyond what the server was asked to wait.
const requestTimeout = time.Minute

// read unpacks what was sent. A connection that breaks says nothing about the bundle: it is asked for again.
func (s *Source) read(ctx context.Context, name string, response *http.Response) (*version, error) {
	body := &counter{in: response.Body, left: s.cfg.MaxBytes}
	v := &version{etag: response.Header.Get("ETag")}
	v.unpacked, v.refused = s.cfg.Unpack(ctx, name, v.etag, body)
	v.bytes = body.n
	switch {
	case errors.Is(body.err, errTooLong):
		v.unpacked, v.refused = nil, fmt.Errorf("it has more than %d bytes", s.cfg.MaxBytes)
	case body.err != nil:
		return nil, body.err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return v, nil
}

func (s *Source) etag(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundles[name].health.ETag
}

// note keeps what a request came to, tells of it if it is news, and reports whether there is another tree. A version that is
// older than one that a later request brought is dropped: the next request brings what is new.
func (s *Source) note(name string, sent time.Time, a answer, err error) (changed bool) {
	s.mu.Lock()
	b, v := s.bundles[name], a.version
	before := b.health
	b.health.Error, b.health.Status, b.health.Times.Requested = "", 0, sent.UTC()
	if err != nil {
		b.health.Error = err.Error()
		if refusal, ok := errors.AsType[*StatusError](err); ok {
			b.health.Status = refusal.Code
		}
	} else {
		b.contact, b.health.Times.Answered = sent, sent.UTC()
	}
	if v != nil && !sent.Before(b.newest) {
		b.newest = sent
		b.health.ETag, b.health.Refused = v.etag, ""
		b.health.Fetched++
		b.health.Bytes += v.bytes
		b.health.Size = v.bytes
		if v.refused != nil {
			b.health.Refused = v.refused.Error()
		} else {
			b.unpacked, b.unfit, changed = v.unpacked, false, true
			b.health.Times.Fetched = time.Now().UTC()
			s.plant()
		}
	}
	now := b.health
	s.mu.Unlock()
	before.Times = now.Times
	if s.cfg.Changed != nil && now != before {
		s.cfg.Changed(name, now)
	}
	return changed
}

// between is a random time, so that many that began together do not go on together.
func between(shortest, longest time.Duration) time.Duration {
	return shortest + rand.N(max(0, longest-shortest)+1)
}

// backoff is the pause after one more error.
func backoff(failures int, most time.Duration) time.Duration {
	pause := min(firstPause<<min(failures, 20), most)
	return between(pause/2, pause*3/2)
}

// retryAfter is what a server asks for: seconds or a date; 0 without it.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(min(seconds, int(maxRetryAfter.Seconds()))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// sleep reports whether ctx still lasts after a pause.
func sleep(ctx context.Context, pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

var errTooLong = errors.New("too long")

// counter counts what is read, and remembers how reading ended.
type counter struct {
	in   io.Reader
	n    uint64
	left int64
	err  error // other than that it ended
}

func (c *counter) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.in.Read(p)
	c.n, c.left = c.n+uint64(n), c.left-int64(n) //nolint:gosec // n is not negative
	if c.left < 0 {
		err = errTooLong
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}
