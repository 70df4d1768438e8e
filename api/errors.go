package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"defenseclaw/engine"

	"go.uber.org/zap"
)

// errNoPolicy is answered while nothing serves.
var errNoPolicy = errors.New("no policy loaded")

// httpError is an error that knows its answer.
type httpError struct {
	status  int
	message string
}

func (e *httpError) Error() string { return e.message }

func badRequest(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// writeError is the one table from error to answer.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	status, message := http.StatusInternalServerError, err.Error()
	var known *httpError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		status, message = known.status, known.message
	case errors.As(err, &tooLarge):
		status, message = http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, engine.ErrBusy):
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", retryAfter)
	case errors.Is(err, errNoPolicy), errors.Is(err, engine.ErrStopped):
		status = http.StatusServiceUnavailable
	case errors.Is(err, engine.ErrDecisionTimeout):
		s.cfg.Logger.Warn("a decision took too long", zap.String("path", r.URL.Path), zap.Error(err))
	default:
		s.cfg.Logger.Error("a request could not be answered", zap.String("path", r.URL.Path), zap.Error(err))
	}
	writeJSON(w, status, errorAnswer{message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // diagnostics hold < and >, and nobody renders an answer as HTML
	if err := encoder.Encode(v); err != nil {
		status = http.StatusInternalServerError
		body.Reset()
		body.WriteString(`{"error":"the answer could not be written as JSON"}` + "\n")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the caller went away; there is nobody to tell
}
