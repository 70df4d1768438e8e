package api

import (
	"context"
	"net/http"
	"strings"
	"unicode"

	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// Reviews are the reviews of changes.
type Reviews struct {
	// Last returns the newest: of what was changed, is held or was refused last. Nil before the first.
	Last func() *review.Judgment
	// Try reviews a step as if its candidate were to serve, and has no effect.
	Try func(context.Context, engine.Step) *review.Judgment
	// Tests returns how the tests beside what serves are; nil where none ran. It may be nil.
	Tests func() *review.Standing
	// Process returns how the process is that evaluates changes. It may be nil: there is none.
	Process func() ReviewerStatus
}

// review is GET /policy/review.
func (s *Server) review(w http.ResponseWriter, _ *http.Request) error {
	if s.cfg.Reviews == nil {
		return &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: "changes are not reviewed: the safety mode is off, or there is no policy to change"}
	}
	j := s.cfg.Reviews.Last()
	if j == nil {
		return &decision.HTTPError{Status: http.StatusNotFound, Message: NothingReviewed}
	}
	decision.WriteJSON(w, http.StatusOK, ReviewAnswerOf(j))
	return nil
}

// NothingReviewed is the answer of GET /policy/review before the first change.
const NothingReviewed = "no change was reviewed yet"

// overrides reads the parameter override of a reload. Who may change policy may not override its review from anywhere: a
// token that leaked must not be enough, so the caller is on this machine, or holds a client certificate.
func overrides(r *http.Request) (reason string, err error) {
	if !r.URL.Query().Has("override") {
		return "", nil
	}
	reason = strings.TrimSpace(r.URL.Query().Get("override"))
	if reason == "" || len(reason) > maxOrderText || strings.ContainsFunc(reason, unicode.IsControl) {
		return "", decision.BadRequest("override is the reason in your words: it is empty, has control characters, or more than %d bytes", maxOrderText)
	}
	peer, _ := gate.Peer(r.Context())
	if peer == "" && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		return "", &decision.HTTPError{
			Status: http.StatusForbidden, Message: "a review is overridden over the local socket of the sidecar, or with a client certificate",
		}
	}
	return reason, nil
}
