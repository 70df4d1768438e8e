package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
)

// Client asks one sidecar. Safe for concurrent use. It keeps connections; [Client.Close] ends those that are idle.
type Client struct {
	ways    []endpoint // the preferred one first
	token   string
	timeout time.Duration
}

// New finds the sidecar, and does not call it: it may start later. An error is of a file that cannot be read.
func New(cfg Config) (*Client, error) {
	t, err := cfg.find()
	if err != nil {
		return nil, err
	}
	anyListener := cfg.AnyListener || strings.EqualFold(os.Getenv("DEFENSECLAW_ANY_LISTENER"), "true")
	return &Client{ways: t.endpoints(anyListener), token: t.token, timeout: cmp.Or(cfg.Timeout, DefaultTimeout)}, nil
}

// Close ends the connections that are idle. The client can be used after it.
func (c *Client) Close() {
	for _, way := range c.ways {
		way.http.CloseIdleConnections()
	}
}

// Decision is an answer of the policy.
type Decision struct {
	ID      string          `json:"decision_id"` // by which the logs of the sidecar name it; it ends with the generation and revision that decided
	Result  json.RawMessage `json:"result"`      // nil: it is undefined
	Warning *Warning        `json:"warning"`     // nil: there is none
}

// Warning says what about a request is probably not meant.
type Warning struct {
	Code    string `json:"code"` // path_not_found, api_usage_warning
	Message string `json:"message"`
}

// Ask asks for the document at a path such as app/allow, for an input that becomes JSON; nil is the input null. A document that
// is undefined is no error here. An error is ctx's, an *[Error], an *[UnreachableError] or an *[UntrustedError].
func (c *Client) Ask(ctx context.Context, path string, input any) (*Decision, error) {
	body, err := json.Marshal(map[string]any{"input": input})
	if err != nil {
		return nil, fmt.Errorf("the input of %s: %w", path, err)
	}
	var d Decision
	if err := c.post(ctx, "/v1/data/"+escaped(path), body, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// Decide is [Client.Ask] with the result read into out as [json.Unmarshal] does. A document that is undefined is an error that
// wraps [ErrUndefined], and out is as it was.
func (c *Client) Decide(ctx context.Context, path string, input, out any) error {
	d, err := c.Ask(ctx, path, input)
	if err != nil {
		return err
	}
	return d.read(path, out)
}

func (d *Decision) read(path string, out any) error {
	if d.Result == nil {
		undefined := &UndefinedError{Path: path}
		if d.Warning != nil {
			undefined.Warning = d.Warning.Message
		}
		return undefined
	}
	if err := json.Unmarshal(d.Result, out); err != nil {
		return fmt.Errorf("the result of %s: %w", path, err)
	}
	return nil
}

// Allowed reports whether the policy allows: whether the document at path is true, and nothing else. It fails closed: with an error
// it is false. A document that is undefined is not allowed and is no error, unless neither a rule nor data is at the path.
func (c *Client) Allowed(ctx context.Context, path string, input any) (bool, error) {
	d, err := c.Ask(ctx, path, input)
	switch {
	case err != nil:
		return false, err
	case d.Result == nil && d.Warning != nil && d.Warning.Code == "path_not_found":
		return false, d.read(path, nil)
	case d.Result == nil:
		return false, nil
	}
	var allowed any
	if err := json.Unmarshal(d.Result, &allowed); err != nil {
		return false, fmt.Errorf("the result of %s: %w", path, err)
	}
	yes, isBool := allowed.(bool)
	if !isBool {
		return false, fmt.Errorf("the result of %s is neither true nor false: %s", path, shortened(d.Result))
	}
	return yes, nil
}

// Outcome is one of the answers of [DecideEach]: a value, or why there is none.
type Outcome[T any] struct {
	Value T
	Err   error // wraps [ErrUndefined], or is an *[Error] of this input alone
}

// DecideEach asks for the document at path for each of several inputs, by names of the caller's. One generation of the policy
// decides all. The error is of the request as a whole.
func DecideEach[T any](ctx context.Context, c *Client, path string, inputs map[string]any) (map[string]Outcome[T], error) {
	body, err := json.Marshal(map[string]any{"inputs": inputs})
	if err != nil {
		return nil, fmt.Errorf("the inputs of %s: %w", path, err)
	}
	var answer struct {
		Responses map[string]struct {
			Decision
			failure
			Status string `json:"http_status_code"`
		} `json:"responses"`
		Warning *Warning `json:"warning"`
	}
	route := "/v1/batch/data/" + escaped(path)
	if err := c.post(ctx, route, body, &answer); err != nil {
		return nil, err
	}
	all := make(map[string]Outcome[T], len(inputs))
	for name := range inputs {
		one, answered := answer.Responses[name]
		var o Outcome[T]
		switch {
		case !answered:
			o.Err = fmt.Errorf("%s: the answer lacks %q", path, name)
		case one.Code != "":
			o.Err = &Error{URL: c.ways[0].name + route, StatusCode: 500, Code: one.Code, Message: one.text()}
		default:
			one.Warning = answer.Warning
			o.Err = one.read(path, &o.Value)
		}
		all[name] = o
	}
	return all, nil
}

// escaped is a path with its parts encoded.
func escaped(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

func shortened(text []byte) string {
	const most = 100
	text = bytes.TrimSpace(text)
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}
