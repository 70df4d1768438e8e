package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
)

// AnnounceAudit is the name of the announcement whose failure makes a reload answer 500.
const AnnounceAudit = "audit"

// reload is POST /policy/reload. All its effects are announcements of the engine.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.PolicyDir == "" {
		return &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: "policy_dir not configured"}
	}
	if s.cfg.Engine == nil {
		return s.validate(w, r)
	}
	asked := trigger(r)
	var err error
	if asked.AcceptRemovals, err = acceptsRemovals(r); err != nil {
		return err
	}
	// If the caller leaves, the wait ends but the attempt goes on.
	report, err := s.cfg.Engine.Reload(r.Context(), asked)
	var refused *engine.Refused
	switch {
	case errors.As(err, &refused):
		decision.WriteJSON(w, http.StatusInternalServerError, s.failed("reload failed: ", refused))
		return nil
	case err != nil:
		return err
	}
	s.reloaded(w, ReloadAnswer{
		Generation: report.Generation.Number(), Revision: report.Generation.Revision(),
		Changed: report.Changed(), Removed: RemovedOf(report.Loss), DurationMS: milliseconds(report.Duration),
	}, report.Outcome(AnnounceAudit))
	return nil
}

// validate is the reload of a validate-only sidecar: it loads the directory and discards the result.
func (s *Server) validate(w http.ResponseWriter, r *http.Request) error {
	report := engine.Report{
		Trigger:   trigger(r),
		Result:    engine.Success,
		StartedAt: time.Now(),
	}
	g, err := loadOnce(r.Context(), s.cfg)
	report.Duration = time.Since(report.StartedAt)
	if err != nil {
		report.Result = engine.Failed
		if !errors.As(err, &report.Refused) {
			report.Refused = &engine.Refused{Stage: engine.StageRead, Err: err}
		}
	}
	var unrecorded error
	if s.cfg.Validated != nil {
		unrecorded = s.cfg.Validated(r.Context(), report)
	}
	switch {
	case report.Refused != nil && isLoadFailure(report.Refused):
		decision.WriteJSON(w, http.StatusInternalServerError, s.failed("reload failed: ", report.Refused))
	case report.Refused != nil:
		decision.WriteJSON(w, http.StatusBadRequest, s.failed("compilation failed: ", report.Refused))
	default:
		s.reloaded(w, ReloadAnswer{
			Revision: g.Revision(), Changed: []string{}, DurationMS: milliseconds(report.Duration),
		}, unrecorded)
	}
	return nil
}

// reloaded answers a successful reload: with 500 if the audit log could not record it.
func (s *Server) reloaded(w http.ResponseWriter, answer ReloadAnswer, unrecorded error) {
	status := http.StatusOK
	choice := s.choice()
	answer.Status, answer.PolicyDir = "reloaded", s.cfg.PolicyDir
	answer.PolicyFrom, answer.PolicyWhy = choice.From, choice.Why
	if unrecorded != nil {
		status, answer.Status, answer.Error = http.StatusInternalServerError, "", "policy reloaded but compliance logging failed"
	}
	decision.WriteJSON(w, status, answer)
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

// isLoadFailure reports whether files or data could not be loaded; otherwise the Rego does not compile.
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

// trigger describes a reload that a request asked for.
func trigger(r *http.Request) engine.Trigger {
	return engine.Trigger{Kind: engine.TriggerAPI, Actor: callerName(r.Context()), Client: client(r), RequestID: r.Header.Get(HeaderRequestID)}
}

// acceptsRemovals reads the parameter of the query. The body is ignored, as the contract says.
func acceptsRemovals(r *http.Request) (bool, error) {
	const name = "accept_removals"
	switch given := r.URL.Query().Get(name); given {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, &decision.HTTPError{
			Status: http.StatusBadRequest, Message: fmt.Sprintf("%s is %q: true or false was expected", name, given),
		}
	}
}

// client is the name that the caller's program gives itself.
func client(r *http.Request) string {
	name := r.Header.Get(gate.HeaderClient)
	const maxBytes = 64
	return name[:min(len(name), maxBytes)]
}
