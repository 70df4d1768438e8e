package api

import (
	"errors"
	"fmt"
	"net/http"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"go.uber.org/zap"
)

// writeError turns an error into an answer. It is the only place that does.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	status, message := http.StatusInternalServerError, err.Error()
	after, unavailable := engine.RetryAfter(err)
	var answered *decision.HTTPError
	var tooLarge *http.MaxBytesError
	var conflict *GuardrailConflict
	switch {
	case errors.As(err, &answered):
		status, message = answered.Status, answered.Message
	case errors.As(err, &conflict):
		decision.WriteJSON(w, http.StatusConflict, conflict)
		return
	case errors.As(err, &tooLarge):
		status, message = http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit)
	case unavailable:
		status = http.StatusServiceUnavailable
		decision.SetRetryAfter(w.Header(), after)
	case errors.Is(err, decision.ErrNoPolicy), errors.Is(err, decision.ErrExpired), errors.Is(err, decision.ErrSourceStale), errors.Is(err, engine.ErrStopped):
		status = http.StatusServiceUnavailable
	case errors.Is(err, engine.ErrDecisionTimeout):
		s.cfg.Logger.Warn("a decision took too long", zap.String("path", r.URL.Path), zap.Error(err))
	default:
		s.cfg.Logger.Error("a request could not be answered", zap.String("path", r.URL.Path), zap.Error(err))
	}
	decision.WriteError(w, status, message)
}
