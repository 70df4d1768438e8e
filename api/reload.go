package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// AnnounceAudit is the name of the announcement whose failure makes a reload answer 500.
const AnnounceAudit = "audit"

// reload is POST /policy/reload. All its effects are announcements of the engine.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	if s.place() == "" {
		return &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: "policy_dir not configured"}
	}
	dry, err := truth(r, "dry_run")
	if err != nil {
		return err
	}
	if s.cfg.Engine == nil {
		return s.validate(w, r, dry)
	}
	asked := trigger(r)
	if asked.AcceptRemovals, err = truth(r, "accept_removals"); err != nil {
		return err
	}
	if asked.Override, err = overrides(r); err != nil {
		return err
	}
	if dry {
		return s.dryRun(w, r, asked)
	}
	if asked.Confirm, err = confirmsWithin(r); err != nil {
		return err
	}
	if s.cfg.Refresh != nil {
		if err := s.cfg.Refresh(r.Context()); err != nil {
			asked.Source = unfetched{err}
		}
	}
	// If the caller leaves, the wait ends but the attempt goes on.
	report, err := s.cfg.Engine.Reload(r.Context(), asked)
	var refused *engine.Refused
	switch {
	case errors.As(err, &refused):
		answer := s.failed("reload failed: ", refused)
		answer.Control = s.orders()
		decision.WriteJSON(w, http.StatusInternalServerError, answer)
		return nil
	case err != nil:
		return err
	}
	return s.answerReload(w, r, report)
}

// answerReload answers a reload whose files are sound.
func (s *Server) answerReload(w http.ResponseWriter, r *http.Request, report engine.Report) error {
	if report.Result == engine.Held {
		decision.WriteJSON(w, http.StatusConflict, s.notTaken(report))
		return nil
	}
	if s.cfg.Control != nil && report.Trigger.Confirm > 0 {
		if err := s.cfg.Control.Settle(r.Context()); err != nil {
			return err
		}
	}
	s.reloaded(w, ReloadAnswer{
		Control: s.orders(), Generation: report.Generation.Number(), Revision: report.Generation.Revision(),
		Warnings: unusedInChanged(r.Context(), report.Generation, report.Changed()),
		Changed:  report.Changed(), Added: report.Edit().Added, Gone: report.Edit().Removed, Removed: RemovedOf(report.Loss), Findings: findingsOf(report.Loss), DurationMS: milliseconds(report.Duration),
	}, report.Outcome(AnnounceAudit))
	return nil
}

// validate is the reload of a validate-only sidecar: it loads the directory and discards the result. A dry run is not
// recorded.
func (s *Server) validate(w http.ResponseWriter, r *http.Request, dry bool) error {
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
	if s.cfg.Validated != nil && !dry {
		unrecorded = s.cfg.Validated(r.Context(), report)
	}
	switch {
	case report.Refused != nil:
		status, answer := http.StatusBadRequest, s.failed("compilation failed: ", report.Refused)
		if isLoadFailure(report.Refused) {
			status, answer = http.StatusInternalServerError, s.failed("reload failed: ", report.Refused)
		}
		if dry {
			answer.Status = "refused"
		}
		decision.WriteJSON(w, status, answer)
	case dry:
		decision.WriteJSON(w, http.StatusOK, DryRunAnswer{
			Status: "admitted", Digest: review.Digest("", g.Revision(), ""), Review: ReviewOf(review.Of(nil, g)),
		})
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
	g, err := engine.LoadSigned(ctx, src, nil, cfg.Verify)
	if err == nil && cfg.Inspect != nil {
		err = cfg.Inspect(g)
	}
	return g, err
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

// truth reads a parameter of the query. The body is ignored, as the contract says.
func truth(r *http.Request, name string) (bool, error) {
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

// unfetched is what a source holds that did not answer: a reload that asks for it fails, on record like any other.
type unfetched struct{ err error }

func (u unfetched) Open(string) (fs.File, error) { return nil, u.err }
