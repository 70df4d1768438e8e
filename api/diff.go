package api

import (
	"context"
	"errors"
	"net/http"
	"regexp"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// The names of sides that are no entry of the history.
const (
	SideServing = "serving" // what serves
	SideDisk    = "disk"    // what the policy directory holds now
)

// ErrNoSide is wrapped by an error of [Config].Kept: nothing is kept under the name. The answer is 404.
var ErrNoSide = errors.New("no such policy is kept")

// sideNames are the only names that are looked for: no path is one.
var sideNames = regexp.MustCompile(`^(serving|disk|[0-9]{1,19}|(sha256:)?[0-9a-f]{4,64})$`)

// diff is GET /policy/diff: what differs between two sides. It reads no directory but the sidecar's own.
func (s *Server) diff(w http.ResponseWriter, r *http.Request) error {
	withText, err := truth(r, "text")
	if err != nil {
		return err
	}
	query := r.URL.Query()
	from, to := query.Get("from"), query.Get("to")
	if from == "" {
		from = SideServing
	}
	if to == "" {
		to = SideDisk
	}
	for _, name := range []string{from, to} {
		if !sideNames.MatchString(name) {
			return decision.BadRequest("a side is %q: expected serving, disk, a number of the history or the beginning of a revision", name[:min(len(name), 100)])
		}
	}
	base, err := s.side(r.Context(), from)
	if err != nil {
		return s.writeSideError(w, from, err)
	}
	candidate, err := s.side(r.Context(), to)
	if err != nil {
		return s.writeSideError(w, to, err)
	}
	answer := ReviewOf(review.Of(base, candidate))
	answer.Base.Name, answer.Candidate.Name = from, to
	if withText {
		answer.Text = review.TextOf(base, candidate)
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// side is the generation that a name stands for.
func (s *Server) side(ctx context.Context, name string) (*engine.Generation, error) {
	if s.cfg.Engine == nil || s.cfg.Engine.Current() == nil {
		return nil, decision.ErrNoPolicy
	}
	switch name {
	case SideServing:
		return s.cfg.Engine.Current(), nil
	case SideDisk:
		return s.cfg.Engine.LoadAside(ctx, nil)
	}
	if s.cfg.Kept == nil {
		return nil, &decision.HTTPError{Status: http.StatusNotFound, Message: "no earlier policy is kept"}
	}
	src, err := s.cfg.Kept(ctx, name)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, err
	case errors.Is(err, ErrNoSide):
		return nil, &decision.HTTPError{Status: http.StatusNotFound, Message: err.Error()}
	default:
		return nil, &decision.HTTPError{Status: http.StatusUnprocessableEntity, Message: err.Error()}
	}
	return s.cfg.Engine.LoadAside(ctx, src)
}

// writeSideError answers for a side that could not be had, with all diagnostics.
func (s *Server) writeSideError(w http.ResponseWriter, name string, err error) error {
	var refused *engine.Refused
	var answered *decision.HTTPError
	switch {
	case errors.As(err, &refused):
		decision.WriteJSON(w, http.StatusUnprocessableEntity, ReloadAnswer{Error: name + ": " + refused.Error(), Diagnostics: Diagnostics(refused.Diagnostics)})
		return nil
	case errors.As(err, &answered):
		return &decision.HTTPError{Status: answered.Status, Message: name + ": " + answered.Message}
	default:
		return err
	}
}
