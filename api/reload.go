package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"defenseclaw/engine"
)

// AnnounceAudit is the name of the announcement whose failure makes a reload answer 500.
const AnnounceAudit = "audit"

// reload is POST /policy/reload. Its effects are the engine's announcements, not this handler's.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.PolicyDir == "" {
		return &httpError{http.StatusServiceUnavailable, "policy_dir not configured"}
	}
	if s.cfg.Engine == nil {
		return s.validate(w, r)
	}
	// The attempt goes on when the caller leaves; so does our wait, which ends with the server.
	report, err := s.cfg.Engine.Reload(r.Context(), engine.Trigger{Kind: engine.TriggerAPI, Actor: actor(r)})
	var refused *engine.Refused
	switch {
	case errors.As(err, &refused):
		writeJSON(w, http.StatusInternalServerError, s.failed("reload failed: ", refused))
		return nil
	case err != nil:
		return err
	}
	answer := ReloadAnswer{
		Status: "reloaded", PolicyDir: s.cfg.PolicyDir,
		Generation: report.Generation.Number(), Revision: report.Generation.Revision(),
		Changed: report.Changed(), DurationMS: milliseconds(report.Duration),
	}
	status := http.StatusOK
	if report.Outcome(AnnounceAudit) != nil {
		status, answer.Status, answer.Error = http.StatusInternalServerError, "", "policy reloaded but compliance logging failed"
	}
	writeJSON(w, status, answer)
	return nil
}

// validate is the reload of a sidecar without an engine: the directory is loaded and thrown away.
func (s *Server) validate(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	g, err := loadOnce(r.Context(), s.cfg)
	if err == nil {
		writeJSON(w, http.StatusOK, ReloadAnswer{
			Status: "reloaded", PolicyDir: s.cfg.PolicyDir, Revision: g.Revision(),
			Changed: []string{}, DurationMS: milliseconds(time.Since(start)),
		})
		return nil
	}
	var refused *engine.Refused
	if !errors.As(err, &refused) {
		refused = &engine.Refused{Stage: engine.StageRead, Err: err}
	}
	if isLoadFailure(refused) {
		writeJSON(w, http.StatusInternalServerError, s.failed("reload failed: ", refused))
	} else {
		writeJSON(w, http.StatusBadRequest, s.failed("compilation failed: ", refused))
	}
	return nil
}

func loadOnce(ctx context.Context, cfg Config) (*engine.Generation, error) {
	src, err := cfg.Source()
	if err != nil {
		return nil, err
	}
	if closer, ok := src.(io.Closer); ok {
		defer closer.Close() //nolint:errcheck // it was only read
	}
	return engine.Load(ctx, src, nil)
}

// isLoadFailure tells what could not be loaded (files, data) from what does not compile (Rego).
func isLoadFailure(refused *engine.Refused) bool {
	if errors.Is(refused, engine.ErrNoPolicy) {
		return false
	}
	for _, d := range refused.Diagnostics {
		if d.IsRego() {
			return false
		}
	}
	return true
}

func (s *Server) failed(stem string, refused *engine.Refused) ReloadAnswer {
	return ReloadAnswer{Status: "failed", Error: stem + refused.Error(), Diagnostics: Diagnostics(refused.Diagnostics)}
}

// actor is who asked, as far as the request says.
func actor(r *http.Request) string {
	name := r.Header.Get(HeaderClient)
	const longest = 64
	return name[:min(len(name), longest)]
}
