package judge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// The part of https://platform.openai.com/docs/api-reference/chat that a judgement needs.
type question struct {
	Model               string    `json:"model"`
	Messages            []message `json:"messages"`
	Format              *format   `json:"response_format,omitempty"`
	Temperature         *float64  `json:"temperature,omitempty"`
	MaxTokens           int64     `json:"max_tokens,omitempty"`
	MaxCompletionTokens int64     `json:"max_completion_tokens,omitempty"`
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type format struct {
	Type   string      `json:"type"`
	Schema namedSchema `json:"json_schema"`
}

type namedSchema struct {
	Name   string          `json:"name"`
	Strict bool            `json:"strict"`
	Schema json.RawMessage `json:"schema"`
}

type completion struct {
	Choices []struct {
		FinishReason string `json:"finish_reason"`
		Message      struct {
			Content string `json:"content"`
			Refusal string `json:"refusal"`
		} `json:"message"`
	} `json:"choices"`
	Usage usage `json:"usage"`
}

// usage counts tokens.
type usage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
}

const maxAnswerBytes = 256 << 10 // of a response body, unpacked; a verdict has 1 to 2 KB

// reply is an HTTP answer, read to its end. The zero value: there was none.
type reply struct {
	status int
	kind   string // the content type
	after  string // when to ask again
	body   []byte
}

func (r reply) completion() (c completion, err error) {
	if kind, _, err := mime.ParseMediaType(r.kind); err != nil || kind != "application/json" {
		return c, fmt.Errorf("the answer is %q: application/json was expected", r.kind)
	}
	return c, json.Unmarshal(r.body, &c)
}

// Between two tries of a request.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 8 * time.Second
)

// post sends one request, with up to maxRetries retries before the deadline. A pause before one is at most a quarter of the
// remaining time, unless the endpoint says when to ask again: it knows better.
func (e *endpoint) post(ctx context.Context, q question) (got reply, err error) {
	defer func() {
		if recover() != nil {
			got, err = reply{}, errPanic
		}
	}()
	body, err := json.Marshal(q)
	if err != nil {
		return reply{}, err
	}
	remaining := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		remaining = max(time.Until(deadline), time.Millisecond)
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = min(firstPause, remaining/4), min(longestPause, remaining/4)
	tries := uint(max(e.maxRetries, 0)) + 1 //nolint:gosec // not negative
	got, err = backoff.Retry(ctx, func() (reply, error) {
		got, err := e.once(ctx, body)
		switch {
		case err != nil:
			return got, err
		case !retried(got.status):
			return got, nil
		}
		if seconds, err := strconv.Atoi(got.after); err == nil && seconds > 0 {
			return got, errors.Join(errBusy, &backoff.RetryAfterError{Duration: time.Duration(seconds) * time.Second})
		}
		return got, errBusy
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(tries), backoff.WithMaxElapsedTime(remaining))
	if errors.Is(err, errBusy) {
		err = nil // the status says it
	}
	return got, err
}

// errPanic is a panic of the operator's HTTP client.
var errPanic = errors.New("panic in the HTTP client")

// errBusy is a status that a retry may change.
var errBusy = errors.New("busy")

func retried(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	}
	return status >= http.StatusInternalServerError
}

func (e *endpoint) once(ctx context.Context, body []byte) (got reply, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return got, backoff.Permanent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "defenseclaw")
	if e.key != "" {
		req.Header.Set("Authorization", "Bearer "+e.key)
	}
	res, err := e.http.Do(req)
	if err != nil {
		return got, err
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	got = reply{status: res.StatusCode, kind: res.Header.Get("Content-Type"), after: res.Header.Get("Retry-After")}
	got.body, err = io.ReadAll(http.MaxBytesReader(nil, res.Body, maxAnswerBytes))
	if err != nil {
		err = backoff.Permanent(err) // the endpoint has been asked, and answered
	}
	return got, err
}
