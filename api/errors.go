package api

import (
	"errors"
	"fmt"
	"net/http"

	"defenseclaw/api/domains"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"go.uber.org/zap"
)

// writeError turns an error into an answer. It is the only place that does.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	status, message := http.StatusInternalServerError, err.Error()
	after, unavailable := engine.RetryAfter(err)
	var answered *decision.HTTPError
	var missing *domains.MissingPackage
	var conflict *GuardrailConflict
	switch {
	case errors.As(err, &answered):
		status, message = answered.Status, answered.Message
	case errors.As(err, &conflict):
		decision.WriteJSON(w, http.StatusConflict, conflict)
		return
	case decision.TooLarge(err) != nil:
		status, message = http.StatusRequestEntityTooLarge, decision.TooLarge(err).Error()
	case errors.As(err, &missing):
		status, message = http.StatusNotFound, fmt.Sprintf("the policy has no package %s, which decides this: ask for another route, or add the package", missing.Path)
	case unavailable:
		status = http.StatusServiceUnavailable
		decision.SetRetryAfter(w.Header(), after)
	case errors.Is(err, decision.ErrNoPolicy), errors.Is(err, decision.ErrExpired), errors.Is(err, decision.ErrSourceStale), errors.Is(err, engine.ErrStopped):
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", decision.RetryAfter)
	case errors.Is(err, engine.ErrDecisionTimeout):
		s.cfg.Logger.Warn("a decision took too long", zap.String("path", r.URL.Path), zap.Error(err))
	default:
		s.cfg.Logger.Error("a request could not be answered", zap.String("path", r.URL.Path), zap.Error(err))
	}
	decision.WriteError(w, status, message)
}
