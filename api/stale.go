package api

import (
	"net/http"
	"sync/atomic"

	"defenseclaw/api/internal/decision"
)

// StaleSource is told while what policy comes from has not answered for too long. Nothing follows from the zero value. Safe for
// concurrent use; a decision costs it one atomic load.
type StaleSource struct {
	refuse, unready atomic.Bool
}

// Set says whether decisions are refused, and whether the sidecar is not ready, which it is not either while they are.
func (s *StaleSource) Set(refuse, unready bool) {
	s.refuse.Store(refuse)
	s.unready.Store(unready)
}

// refuses reports whether decisions are refused. s may be nil.
func (s *StaleSource) refuses() bool { return s != nil && s.refuse.Load() }

// notReady is why the sidecar is not ready. s may be nil.
func (s *StaleSource) notReady() error {
	if s != nil && (s.refuse.Load() || s.unready.Load()) {
		return &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: decision.ErrSourceStale.Error()}
	}
	return nil
}
