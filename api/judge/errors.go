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
// [Config].MaxContentBytes. It is an error and not a matter of the fail mode, because the length is
// the sender's choice: nobody gets past an open judge by writing more.
var ErrContentTooLarge = errors.New("too large to judge")

// RequestError says what is wrong with a [Request].
type RequestError struct {
	Field   string // direction, kind or content
	Problem string
	Err     error // ErrContentTooLarge or nil
}

func (e *RequestError) Error() string { return e.Field + ": " + e.Problem }

func (e *RequestError) Unwrap() error { return e.Err }

// Reason says in one word why a kind could not be judged: a metric's label.
type Reason string

// The reasons.
const (
	ReasonBusy        Reason = "busy"        // no slot came free in time
	ReasonTimeout     Reason = "timeout"     // the endpoint took too long
	ReasonUnreachable Reason = "unreachable" // no HTTP answer
	ReasonStatus      Reason = "status"      // an answer that is not 200
	ReasonTooLarge    Reason = "too_large"   // more than an answer can be
	ReasonTruncated   Reason = "truncated"   // cut off at the answer's token limit
	ReasonRefused     Reason = "refused"     // the model, or a filter before it, would not answer
	ReasonMalformed   Reason = "malformed"   // not the answer that was asked for
	ReasonPanic       Reason = "panic"       // the client library broke on it
	ReasonCanceled    Reason = "canceled"    // the caller went away
)

// CallError says why a kind could not be judged. It names the endpoint's host, the model and the
// status, and holds neither the key nor anything of what was sent or received.
type CallError struct {
	Kind    Kind
	Host    string
	Model   string
	Reason  Reason
	Status  int    // the endpoint's HTTP status, 0 if there was none
	Problem string // Reason in a few words
	Err     error  // the cause, where it can be told; or nil
}

func (e *CallError) Error() string {
	return fmt.Sprintf("ask model %s at %s for a judgement of %s: %s", e.Model, e.Host, e.Kind, e.Problem)
}

func (e *CallError) Unwrap() error { return e.Err }

// brief is what a verdict's reason says of an error: not where the endpoint is.
func brief(err error) string {
	var call *CallError
	if errors.As(err, &call) {
		return call.Problem
	}
	return "the call was given up"
}

// fail makes a CallError of what the client returned, leaving out whatever could quote the request
// or the answer: the text of protocol errors does.
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
		return say(ReasonPanic, "the client could not cope with the answer", errPanic)
	case errors.Is(context.Cause(ctx), errTimedOut):
		return say(ReasonTimeout, fmt.Sprintf("no answer within %v", e.timeout), context.DeadlineExceeded)
	case ctx.Err() != nil:
		return say(ReasonCanceled, "the caller went away", ctx.Err())
	case errors.As(err, &tooLarge):
		return say(ReasonTooLarge, fmt.Sprintf("the answer is larger than %d bytes", tooLarge.Limit), nil)
	case errors.As(err, &malformed):
		return say(malformed.reason, malformed.problem, malformed.err)
	case status >= 300 && status < 400:
		return say(ReasonStatus, statusText(status)+": redirects are not followed, set judge.base_url to where it leads", nil)
	case status != 0 && status != http.StatusOK:
		return say(ReasonStatus, statusText(status), nil)
	case errors.As(err, &timeout) && timeout.Timeout():
		return say(ReasonTimeout, "the connection timed out", context.DeadlineExceeded)
	case status == http.StatusOK:
		return say(ReasonMalformed, "the answer is not a chat completion, or broke off", nil)
	case errors.As(err, &name):
		return say(ReasonUnreachable, "the host's name cannot be resolved", name)
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

// answerError is a completion that is no verdict.
type answerError struct {
	reason  Reason
	problem string
	err     error
}

func (e *answerError) Error() string { return e.problem }

func (e *answerError) Unwrap() error { return e.err }
