package judge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// ErrContentTooLarge is wrapped by the [RequestError] for a text that is longer than
// [Config].MaxContentBytes. The fail mode does not apply to it: the sender chooses the length, and could
// otherwise bypass a judge that fails open.
var ErrContentTooLarge = errors.New("too large to judge")

// RequestError means that a [Request] is invalid.
type RequestError struct {
	Field   string // direction, kind or content
	Problem string
	Err     error // ErrContentTooLarge or nil
}

func (e *RequestError) Error() string { return e.Field + ": " + e.Problem }

func (e *RequestError) Unwrap() error { return e.Err }

// Reason is why a kind could not be judged, in one word: a label of a metric.
type Reason string

// The reasons.
const (
	ReasonBusy        Reason = "busy"        // no slot became free in time; fails closed in every fail mode
	ReasonTimeout     Reason = "timeout"     // the endpoint did not answer in time
	ReasonUnreachable Reason = "unreachable" // no HTTP answer
	ReasonStatus      Reason = "status"      // an HTTP status other than 200
	ReasonTooLarge    Reason = "too_large"   // the response exceeds the size limit
	ReasonTruncated   Reason = "truncated"   // cut off at the answer's token limit
	ReasonRefused     Reason = "refused"     // the model or a content filter refused to answer
	ReasonMalformed   Reason = "malformed"   // the answer does not have the requested form
	ReasonPanic       Reason = "panic"       // the HTTP client panicked
	ReasonCanceled    Reason = "canceled"    // the caller canceled
)

// CallError means that a kind could not be judged. It contains the endpoint's host, the model and the
// status, but neither the key nor anything of the request or the response.
type CallError struct {
	Kind    Kind
	Host    string
	Model   string
	Reason  Reason
	Status  int    // the endpoint's HTTP status, 0 if there was none
	Problem string // Reason in a few words
	Err     error  // the cause, if it contains nothing secret; else nil
}

func (e *CallError) Error() string {
	return fmt.Sprintf("ask model %s at %s for a judgement of %s: %s", e.Model, e.Host, e.Kind, e.Problem)
}

func (e *CallError) Unwrap() error { return e.Err }

// busy sets the reason ReasonBusy, unless the caller canceled.
func (e *CallError) busy(problem string) {
	if e.Reason != ReasonCanceled {
		e.Reason, e.Problem = ReasonBusy, problem
	}
}

// failsClosed reports whether a failure blocks. Callers choose how many slots they occupy, and could otherwise
// bypass a judge that fails open.
func failsClosed(err error, mode FailMode) bool {
	var call *CallError
	return mode != Open || errors.As(err, &call) && call.Reason == ReasonBusy
}

// brief is the text of err in a verdict's reason, without the address of the endpoint.
func brief(err error) string {
	var call *CallError
	if errors.As(err, &call) {
		return call.Problem
	}
	return "the call was abandoned"
}

// fail makes a CallError of the client's error. It leaves out texts that may quote the request or the
// response, as those of protocol errors do.
func (e *endpoint) fail(ctx context.Context, kind Kind, status int, err error) *CallError {
	failed := &CallError{Kind: kind, Host: e.host, Model: e.model, Status: status}
	say := func(reason Reason, problem string, cause error) *CallError {
		failed.Reason, failed.Problem, failed.Err = reason, problem, cause
		return failed
	}
	var tooLarge *http.MaxBytesError
	var malformed *answerError
	var network *net.OpError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.Is(err, errPanic):
		return say(ReasonPanic, "the HTTP client panicked", errPanic)
	case errors.Is(context.Cause(ctx), errTimedOut):
		return say(ReasonTimeout, fmt.Sprintf("no answer within %v", e.timeout), context.DeadlineExceeded)
	case ctx.Err() != nil:
		return say(ReasonCanceled, "the caller canceled the request", ctx.Err())
	case errors.As(err, &tooLarge):
		return say(ReasonTooLarge, fmt.Sprintf("the answer is larger than %d bytes", tooLarge.Limit), nil)
	case errors.As(err, &malformed):
		return say(malformed.reason, malformed.problem, malformed.err)
	case status >= 300 && status < 400:
		return say(ReasonStatus, statusText(status)+": redirects are not followed, set judge.base_url to the final address", nil)
	case status != 0 && status != http.StatusOK:
		return say(ReasonStatus, statusText(status), nil)
	case errors.As(err, &timeout) && timeout.Timeout():
		return say(ReasonTimeout, "the connection timed out", context.DeadlineExceeded)
	case status == http.StatusOK:
		return say(ReasonMalformed, "the answer is not a chat completion, or is incomplete", nil)
	case errors.As(err, &name):
		return say(ReasonUnreachable, "the host name cannot be resolved", name)
	case errors.As(err, &certificate):
		return say(ReasonUnreachable, "its certificate is not trusted", certificate)
	case errors.As(err, &network):
		return say(ReasonUnreachable, network.Error(), network)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return say(ReasonUnreachable, "it closed the connection without an answer", io.ErrUnexpectedEOF)
	}
	return say(ReasonUnreachable, "no HTTP answer", nil)
}

func statusText(status int) string {
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("status %d %s", status, text)
	}
	return fmt.Sprintf("status %d", status)
}

// answerError means that a completion is not a verdict.
type answerError struct {
	reason  Reason
	problem string
	err     error
}

func (e *answerError) Error() string { return e.problem }

func (e *answerError) Unwrap() error { return e.err }
