package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	maxAttempts    = 4
	firstPause     = 20 * time.Millisecond // doubled with each attempt, and shortened by chance
	maxAnswerBytes = 64 << 20
)

// failure is a body that says what was wrong, in OPA's form or the sidecar's.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Text    string `json:"error"`
	Errors  []struct {
		Message string `json:"message"`
	} `json:"errors"`
}

func (f failure) text() string {
	text := cmp.Or(f.Message, f.Text)
	if len(f.Errors) > 0 && f.Errors[0].Message != "" {
		text += ": " + f.Errors[0].Message
	}
	return text
}

// post asks until there is an answer, or until asking again would be of no use.
func (c *Client) post(ctx context.Context, path string, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := c.once(ctx, path, body, answer)
		wait, again := worthwhile(err, pause)
		if !again || attempt == maxAttempts || !sleep(ctx, wait) {
			return err
		}
		pause *= 2
	}
}

// worthwhile reports whether the same request may have another answer, and after which time.
func worthwhile(err error, pause time.Duration) (wait time.Duration, again bool) {
	var answered *Error
	var silent *UnreachableError
	switch {
	case errors.As(err, &answered):
		if answered.RetryAfter == 0 || answered.StatusCode != http.StatusServiceUnavailable && answered.StatusCode != http.StatusTooManyRequests {
			return 0, false
		}
		return answered.RetryAfter, true
	case errors.As(err, &silent):
		return pause/2 + rand.N(pause/2), !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) //nolint:gosec // spreads callers
	default:
		return 0, false
	}
}

// sleep reports whether the time has passed, and is at once false where ctx would end before it.
func sleep(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once asks by the first way on which there is a listener.
func (c *Client) once(ctx context.Context, path string, body []byte, answer any) (err error) {
	for i, way := range c.ways {
		err = way.post(ctx, path, c.token, body, answer)
		if untrusted := new(UntrustedError); i == len(c.ways)-1 || !errors.Is(err, errNotConnected) && !errors.As(err, &untrusted) {
			break
		}
	}
	return err
}

func (e endpoint) post(ctx context.Context, path, token string, body []byte, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("address %s: %w", e.name, err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := e.http.Do(request)
	if err != nil {
		if untrusted := new(UntrustedError); errors.As(err, &untrusted) {
			return untrusted
		}
		return &UnreachableError{e.name + path, cause(ctx, err)}
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return &UnreachableError{e.name + path, cause(ctx, err)}
	case len(text) > maxAnswerBytes:
		return fmt.Errorf("the answer of %s has more than %d bytes", e.name+path, maxAnswerBytes)
	case response.StatusCode/100 != 2 && !hasResponses(response.StatusCode, text):
		return refused(e.name+path, response, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", e.name+path, err)
	}
	return nil
}

// hasResponses reports whether an answer is of a batch of which no input could be decided.
func hasResponses(status int, text []byte) bool {
	var batch struct {
		Responses map[string]json.RawMessage `json:"responses"`
	}
	return status == http.StatusInternalServerError && json.Unmarshal(text, &batch) == nil && len(batch.Responses) > 0
}

// cause is the error without the address, which is said already, and ctx's where that ended the request.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if inner := errors.Unwrap(err); inner != nil { // url.Error
		return inner
	}
	return err
}

func refused(url string, response *http.Response, text []byte) *Error {
	e := &Error{URL: url, StatusCode: response.StatusCode}
	var f failure
	if json.Unmarshal(text, &f) == nil {
		e.Code, e.Message = f.Code, f.text()
	}
	e.Message = cmp.Or(e.Message, shortened(text))
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}
