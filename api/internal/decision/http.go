package decision

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// ErrNoPolicy is the answer to every request for a decision while no generation serves.
var ErrNoPolicy = errors.New("no policy loaded")

// RetryAfter is the value of the header Retry-After, in seconds, for callers that were turned away
// because of load.
const RetryAfter = "1"

// maxUnpackedBytes bounds a compressed body once it is unpacked: to the size of a plain one.
const maxUnpackedBytes = 1 << 20

// Body reads a request's body, which may be compressed; unpacked, it is at most 1 MiB. A larger one is
// an [*http.MaxBytesError]. OPA's own reader crashes on a body that only claims to be compressed.
func Body(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(r.Header.Get("Content-Encoding"), "gzip") {
		return body, err
	}
	packed, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("could not decompress the body: %w", err)
	}
	body, err = io.ReadAll(io.LimitReader(packed, maxUnpackedBytes+1))
	if err != nil {
		return nil, fmt.Errorf("could not decompress the body: %w", err)
	}
	if len(body) > maxUnpackedBytes {
		return nil, &http.MaxBytesError{Limit: maxUnpackedBytes}
	}
	return body, nil
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
