package client

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// ErrUndefined is wrapped where the policy has no answer: no rule gives the document a value for the input, or there is no such
// rule. An [UndefinedError] says which.
var ErrUndefined = errors.New("undefined")

// UndefinedError is an answer without a result.
type UndefinedError struct {
	Path    string
	Warning string // such as that neither a rule nor data is at the path, with what was likely meant; often empty
}

// Error describes it in one line.
func (e *UndefinedError) Error() string {
	if e.Warning != "" {
		return fmt.Sprintf("%s is undefined: %s", e.Path, e.Warning)
	}
	return e.Path + " is undefined"
}

// Unwrap returns [ErrUndefined].
func (e *UndefinedError) Unwrap() error { return ErrUndefined }

// Error is an answer that is not a decision.
type Error struct {
	URL        string
	StatusCode int           // of HTTP
	Code       string        // such as invalid_parameter, internal_error, too_many_decisions; may be empty
	Message    string        // the sidecar's own
	RetryAfter time.Duration // when to come back; 0: the sidecar does not say
}

// Error describes it in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("%s answered %d %s: %s", e.URL, e.StatusCode, http.StatusText(e.StatusCode), e.Message)
}

// UnreachableError is that there was no answer.
type UnreachableError struct {
	URL string
	Err error
}

// Error describes it in one line.
func (e *UnreachableError) Error() string { return fmt.Sprintf("no answer from %s: %s", e.URL, e.Err) }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// UntrustedError is that nothing was sent, since who listens there may not be the sidecar.
type UntrustedError struct {
	URL    string
	Reason string
}

// Error describes it in one line.
func (e *UntrustedError) Error() string {
	return fmt.Sprintf("nothing was sent to %s: %s", e.URL, e.Reason)
}
