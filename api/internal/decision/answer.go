package decision

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// ErrNoPolicy is the answer to every request for a decision while no generation serves.
var ErrNoPolicy = errors.New("no policy loaded")

// ErrExpired is the answer to every request for a decision while the policy that serves is older than it may become.
var ErrExpired = errors.New("the policy has expired: the files of its directory have been broken or missing for longer than safety.max_stale")

// ErrSourceStale is the answer to every request for a decision while nobody knows how old the policy that serves is.
var ErrSourceStale = errors.New("the source of the policy has not answered for longer than source.stale")

// RetryAfter is the value of the header Retry-After, in seconds, for callers that were turned away
// because of load.
const RetryAfter = "1"

// SetRetryAfter says when to ask again, in whole seconds and never before.
func SetRetryAfter(h http.Header, after time.Duration) {
	h.Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
}

// HTTPError is an error that holds its own answer.
type HTTPError struct {
	Status  int
	Message string
}

// Error is the message.
func (e *HTTPError) Error() string { return e.Message }

// BadRequest is an [*HTTPError] with status 400.
func BadRequest(format string, args ...any) error {
	return &HTTPError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// ErrorAnswer is the body of an answer that reports an error.
type ErrorAnswer struct {
	Error string `json:"error"`
}

// WriteError answers with an [ErrorAnswer].
func WriteError(w http.ResponseWriter, status int, message string) {
	WriteJSON(w, status, ErrorAnswer{message})
}

// WriteJSON answers with v as JSON; with 500, if v cannot be written as JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // diagnostics hold < and >, and no answer is rendered as HTML
	if err := encoder.Encode(v); err != nil {
		status = http.StatusInternalServerError
		body.Reset()
		body.WriteString(`{"error":"the answer could not be written as JSON"}` + "\n")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // an error means that the caller has gone
}
