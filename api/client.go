package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
)

// DefaultClientTimeout bounds a call of a [Client] without a timeout of its own. It is longer than the
// engine's deadline for a reload, so that a slow reload is still reported.
const DefaultClientTimeout = 150 * time.Second

// Client calls a running sidecar. Safe for concurrent use.
//
// Over a Unix socket, the token and the request go only to a listener of the same user or of root, or of the user
// who owns the socket's directory if the caller is root. Over plain HTTP, the listener has to prove that it holds
// the token; over TLS it has a certificate. Where neither holds, nothing is sent, and the error is an [UntrustedError].
type Client struct {
	Addr  string      // host:port, or unix:PATH; a wildcard host is reached over loopback
	TLS   *tls.Config // nil: plain HTTP
	Token string

	// Socket is the path of a Unix socket of the same sidecar. It is preferred to Addr where a listener that may be
	// trusted is there. Empty: there is none.
	Socket string
	// AnyListener sends the token over plain HTTP without proof that the sidecar listens; see [UntrustedError].
	AnyListener bool
	// TokenIsOptional keeps the token from listeners over a Unix socket who let this user in without it.
	TokenIsOptional bool

	Timeout time.Duration // of one call; 0: [DefaultClientTimeout]
}

// UnreachableError reports that nothing answered at an address.
type UnreachableError struct {
	URL      string
	TimedOut time.Duration // how long the client waited for an answer; 0: there was no connection
	Err      error
}

// Error describes it in one line.
func (e *UnreachableError) Error() string {
	if e.TimedOut > 0 {
		return fmt.Sprintf("%s timed out: no answer within %s", e.URL, e.TimedOut)
	}
	return fmt.Sprintf("cannot reach %s: %s", e.URL, rootCause(e.Err))
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// AnswerError is an answer that is not a success.
type AnswerError struct {
	URL        string
	StatusCode int
	Body       []byte
}

// Error includes the answer's own message.
func (e *AnswerError) Error() string {
	return fmt.Sprintf("%s answered %d %s: %s", e.URL, e.StatusCode, http.StatusText(e.StatusCode), e.Message())
}

// Message is the answer's own message, or its body where that has none.
func (e *AnswerError) Message() string {
	var answer decision.ErrorAnswer
	if json.Unmarshal(e.Body, &answer) == nil && answer.Error != "" {
		return answer.Error
	}
	return string(e.Body)
}

// Reload asks for a reload and returns the answer's body as it came. A refusal is an *[AnswerError].
func (c *Client) Reload(ctx context.Context) ([]byte, error) {
	return c.call(ctx, http.MethodPost, "/policy/reload", nil)
}

// AcceptRemovals is [Client.Reload] that accepts that files which serve are gone.
func (c *Client) AcceptRemovals(ctx context.Context) ([]byte, error) {
	return c.ReloadWith(ctx, ReloadOptions{AcceptRemovals: true})
}

// ReloadOptions say what is special about a reload.
type ReloadOptions struct {
	AcceptRemovals bool          // files that serve and are gone were removed on purpose
	Confirm        time.Duration // go back unless what is loaded is confirmed within it; 0: it need not be
	DryRun         bool          // only say what the reload would do
	Override       string        // why the candidate is to serve whatever its review says; empty: it is not
}

// ReloadWith is [Client.Reload] with options.
func (c *Client) ReloadWith(ctx context.Context, o ReloadOptions) ([]byte, error) {
	query := url.Values{}
	if o.AcceptRemovals {
		query.Set("accept_removals", "true")
	}
	if o.Confirm > 0 {
		query.Set("confirm", o.Confirm.String())
	}
	if o.DryRun {
		query.Set("dry_run", "true")
	}
	if o.Override != "" {
		query.Set("override", o.Override)
	}
	path := "/policy/reload"
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.call(ctx, http.MethodPost, path, nil)
}

// Order gives an order about the policy that serves: rollback, hold, resume or confirm. It returns the body of the answer;
// that of resume is a [ReloadAnswer], the others are a [ControlAnswer].
func (c *Client) Order(ctx context.Context, order string, in ControlRequest) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, http.MethodPost, "/policy/"+order, body)
}

// DryRun asks what a reload would do, and returns the answer's body as it came. A refusal is an *[AnswerError].
func (c *Client) DryRun(ctx context.Context, acceptRemovals bool) ([]byte, error) {
	return c.ReloadWith(ctx, ReloadOptions{AcceptRemovals: acceptRemovals, DryRun: true})
}

// Diff asks what differs between two sides that the sidecar holds; see [SideServing]. What [review.WithProgress] put into ctx is
// told how far the work is.
func (c *Client) Diff(ctx context.Context, from, to string, withText bool) (*Review, error) {
	path := "/policy/diff?" + url.Values{"from": {from}, "to": {to}, "text": {fmt.Sprint(withText)}}.Encode()
	body, err := c.callLong(ctx, http.MethodGet, path)
	if err != nil {
		return nil, err
	}
	var answer Review
	if err := c.read(path, body, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// Replay asks what recorded decisions say about the step from one side to another; see [SideServing]. It tells how far it is as
// [Client.Diff] does.
func (c *Client) Replay(ctx context.Context, from, to string) (*ReplayAnswer, error) {
	body, err := c.callLong(ctx, http.MethodPost, "/policy/replay?"+url.Values{"from": {from}, "to": {to}}.Encode())
	if err != nil {
		return nil, err
	}
	var answer ReplayAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("the answer of POST /policy/replay: %w", err)
	}
	return &answer, nil
}

// Review asks for the newest review of a change. The error is an [AnswerError] with the status 404 before the first.
func (c *Client) Review(ctx context.Context) (answer ReviewAnswer, err error) {
	return answer, c.get(ctx, "/policy/review", &answer)
}

// ConsoleLink asks for a link that signs a browser in to the console, once. [Client].Addr is a host and a port.
func (c *Client) ConsoleLink(ctx context.Context) (string, error) {
	body, err := c.call(ctx, http.MethodPost, codesPattern, nil)
	if err != nil {
		return "", err
	}
	var code ConsoleCode
	if err := json.Unmarshal(body, &code); err != nil {
		return "", fmt.Errorf("the answer of POST %s: %w", codesPattern, err)
	}
	return c.url(code.Path), nil
}

// Status asks what serves.
func (c *Client) Status(ctx context.Context) (answer StatusAnswer, err error) {
	return answer, c.get(ctx, "/policy/status", &answer)
}

// History asks what served, the newest first.
func (c *Client) History(ctx context.Context) (answer []HistoryEntry, err error) {
	return answer, c.get(ctx, "/policy/history", &answer)
}

// Blame asks what changed a rule or a place of data; path is as [BlamePath] reads it.
func (c *Client) Blame(ctx context.Context, path string) (answer BlameAnswer, err error) {
	return answer, c.get(ctx, "/policy/blame?"+url.Values{"path": {path}}.Encode(), &answer)
}

// HistoryEntry asks for one of them, by its number or the beginning of its revision.
func (c *Client) HistoryEntry(ctx context.Context, ref string) (answer HistoryEntry, err error) {
	return answer, c.get(ctx, "/policy/history/"+url.PathEscape(ref), &answer)
}

// Lists asks for the block and the allow list.
func (c *Client) Lists(ctx context.Context) (answer ListsAnswer, err error) {
	return answer, c.get(ctx, "/policy/lists", &answer)
}

// AddToList puts a target on a list, block or allow, and returns the entry as it is now.
func (c *Client) AddToList(ctx context.Context, list string, entry ListRequest) (ListAnswer, error) {
	return c.changeList(ctx, http.MethodPost, list, entry)
}

// RemoveFromList takes a target off a list. It is an error that it is not on it.
func (c *Client) RemoveFromList(ctx context.Context, list string, entry ListRequest) error {
	_, err := c.changeList(ctx, http.MethodDelete, list, entry)
	return err
}

func (c *Client) changeList(ctx context.Context, method, list string, entry ListRequest) (answer ListAnswer, err error) {
	path := "/policy/lists/" + url.PathEscape(list)
	body, err := json.Marshal(entry)
	if err != nil {
		return answer, err
	}
	text, err := c.call(ctx, method, path, body)
	if err == nil {
		err = c.read(path, text, &answer)
	}
	return answer, err
}

// ImportLists takes over entries of the original gateway's lists.
func (c *Client) ImportLists(ctx context.Context, im audit.Import) (done audit.Imported, err error) {
	const path = "/policy/lists/import"
	body, err := json.Marshal(im)
	if err != nil {
		return done, err
	}
	text, err := c.call(ctx, http.MethodPost, path, body)
	if err == nil {
		err = c.read(path, text, &done)
	}
	return done, err
}

// Records asks for audit records, newest first.
func (c *Client) Records(ctx context.Context, filter audit.Filter) (answer RecordsAnswer, err error) {
	return answer, c.get(ctx, "/audit/records?"+filter.Values().Encode(), &answer)
}

// Verify has the chain of audit records checked, against heads that were noted elsewhere.
func (c *Client) Verify(ctx context.Context, noted ...audit.Head) (answer audit.VerifyReport, err error) {
	query := url.Values{}
	for _, head := range noted {
		query.Add("head", fmt.Sprintf("%d:%s", head.Seq, head.Hash))
	}
	return answer, c.get(ctx, "/audit/verify?"+query.Encode(), &answer)
}

// DataAnswer is what the sidecar answers for a document.
type DataAnswer struct {
	Result      *json.RawMessage `json:"result"` // nil when undefined
	Explanation []string         `json:"explanation"`
}

// Data asks for the document at path with an input, which is JSON or nil for none. params are those of OPA's
// API, such as explain.
func (c *Client) Data(
	ctx context.Context, path []string, input json.RawMessage, params url.Values,
) (answer DataAnswer, err error) {
	target := "/v1/data"
	for _, part := range path {
		target += "/" + url.PathEscape(part)
	}
	if len(params) > 0 {
		target += "?" + params.Encode()
	}
	body := []byte("{}")
	if input != nil {
		if body, err = json.Marshal(map[string]json.RawMessage{"input": input}); err != nil {
			return answer, fmt.Errorf("the input: %w", err)
		}
	}
	text, err := c.call(ctx, http.MethodPost, target, body)
	if err == nil {
		err = c.read(target, text, &answer)
	}
	return answer, err
}

func (c *Client) get(ctx context.Context, path string, answer any) error {
	body, err := c.call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return c.read(path, body, answer)
}

func (c *Client) read(path string, body []byte, answer any) error {
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.url(path), err)
	}
	return nil
}

func (c *Client) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	return c.ask(ctx, method, path, body, http.Header{}, func(_ string, text io.Reader) ([]byte, error) {
		return io.ReadAll(io.LimitReader(text, maxAnswerBytes))
	})
}

// ask sends a request within the client's timeout, and has read take the answer from the body of a success.
func (c *Client) ask(
	ctx context.Context, method, path string, body []byte, headers http.Header, read func(name string, text io.Reader) ([]byte, error),
) (answer []byte, err error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultClientTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if method != http.MethodGet { // the original gateway asks for it where there is no body, too
		headers.Set("Content-Type", "application/json")
	}
	err = c.send(ctx, timeout, method, path, body, headers, func(name string, text io.Reader) (err error) {
		answer, err = read(name, text)
		if failed := new(AnswerError); err != nil && !errors.As(err, &failed) {
			return unreachable(name, timeout, err)
		}
		return err
	})
	return answer, err
}

const maxAnswerBytes = 64 << 20

// send sends a request, and has the body of a success read; name is how messages name the address. What is no success is an
// *[AnswerError]. timeout is what ctx has been given, for messages; 0: nothing.
func (c *Client) send(
	ctx context.Context, timeout time.Duration, method, path string, body []byte, headers http.Header, read func(name string, text io.Reader) error,
) error {
	to, err := c.connect(ctx)
	if err != nil {
		return unreachable(c.url(path), timeout, err)
	}
	defer to.conn.Close() //nolint:errcheck // net/http has closed it if all went well
	request, err := http.NewRequestWithContext(ctx, method, to.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("address %s: %w", c.Addr, err)
	}
	request.Header = headers
	if to.token != "" {
		request.Header.Set("Authorization", "Bearer "+to.token)
		request.Header.Set(gate.HeaderToken, to.token)
	}
	request.Header.Set(gate.HeaderClient, "cli")
	response, err := (&http.Client{Transport: to.transport(c.TLS)}).Do(request)
	if err != nil {
		return unreachable(to.name+path, timeout, err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	if response.StatusCode == http.StatusOK {
		return read(to.name+path, response.Body)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return unreachable(to.name+path, timeout, err)
	}
	return &AnswerError{URL: to.name + path, StatusCode: response.StatusCode, Body: answer}
}

func unreachable(url string, timeout time.Duration, err error) error {
	if untrusted := new(UntrustedError); errors.As(err, &untrusted) {
		return untrusted
	}
	e := &UnreachableError{URL: url, Err: err}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		e.TimedOut = timeout
	}
	return e
}

// rootCause is the last error of a chain: "connection refused" without the addresses before it.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
