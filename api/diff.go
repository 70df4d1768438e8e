package api

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"regexp"
	"strconv"

	"defenseclaw/api/gate"
	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/control"
	"defenseclaw/engine/history"
	"defenseclaw/engine/review"
)

// The names of sides that are no entry of the history.
const (
	SideServing = "serving" // what serves
	SideDisk    = "disk"    // what the policy directory holds now
	SideHeld    = "held"    // what waits for an approval
)

// ErrNoSide is wrapped by an error of [Config].Kept: nothing is kept under the name. The answer is 404.
var ErrNoSide = errors.New("no such policy is kept")

// sideNames are the only names that are looked for: no path is one.
var sideNames = regexp.MustCompile(`^(serving|disk|held|[0-9]{1,19}|(sha256:)?[0-9a-f]{4,64})$`)

// diff is GET /policy/diff: what differs between two sides. It reads no directory but the sidecar's own.
func (s *Server) diff(w http.ResponseWriter, r *http.Request) error {
	withText, err := truth(r, "text")
	if err != nil {
		return err
	}
	steps, err := stepsOf(r)
	if err != nil {
		return err
	}
	withInputs, err := truth(r, "inputs")
	if err != nil {
		return err
	}
	if by, _ := r.Context().Value(requesterKey{}).(requester); withInputs && !by.caller.Scopes.Has(gate.ScopeChange) {
		err := lacks(by.caller, gate.ScopeChange, "inputs=true, which shows inputs of recorded decisions,")
		s.recordRefused(r, by.caller.Name, err.Error())
		return err
	}
	return s.compare(w, r, func(base, candidate *engine.Generation, from, to string) error {
		found := review.Of(base, candidate)
		answer := ReviewOf(found)
		answer.Base.Name, answer.Candidate.Name = from, to
		s.number(answer)
		if withText {
			answer.Text = review.TextOf(base, candidate)
		}
		if len(steps) > 0 {
			evidence, err := s.evaluate(r.Context(), base, candidate, steps)
			if err != nil {
				return err
			}
			answer.AddEvidence(evidence)
			if !withInputs {
				answer.hideInputs()
			}
		}
		decision.WriteJSON(w, http.StatusOK, answer)
		return nil
	})
}

// compare calls do with the two sides that the request names. What one of them lacks is answered.
func (s *Server) compare(
	w http.ResponseWriter, r *http.Request, do func(base, candidate *engine.Generation, from, to string) error,
) error {
	query := r.URL.Query()
	from, to := cmp.Or(query.Get("from"), SideServing), cmp.Or(query.Get("to"), SideDisk)
	for _, name := range []string{from, to} {
		if !sideNames.MatchString(name) {
			return decision.BadRequest("a side is %q: expected serving, disk, held, a number of the history or the beginning of a revision", name[:min(len(name), 100)])
		}
	}
	review.InStep(r.Context(), stepLoad)
	base, err := s.side(r.Context(), from)
	if err != nil {
		return s.writeSideError(w, from, err)
	}
	candidate, err := s.side(r.Context(), to)
	if err != nil {
		return s.writeSideError(w, to, err)
	}
	return do(base, candidate, from, to)
}

// number puts into a review which entries of the history its sides are.
func (s *Server) number(w *Review) {
	if s.cfg.Past == nil {
		return
	}
	records, _ := s.cfg.Past.Store.Records() // a review is as good without
	w.Candidate.Seq = seqOf(w.Candidate, records)
	if w.Base != nil {
		w.Base.Seq = seqOf(*w.Base, records)
	}
}

// seqOf is the number by which a side was asked for, else that of the newest entry with its revision; 0 where there is none.
func seqOf(side ReviewSide, records []history.Record) (newest uint64) {
	for _, r := range records {
		switch {
		case r.Revision != side.Revision:
		case strconv.FormatUint(r.Seq, 10) == side.Name:
			return r.Seq
		case newest == 0:
			newest = r.Seq
		}
	}
	return newest
}

// side is the generation that a name stands for.
func (s *Server) side(ctx context.Context, name string) (*engine.Generation, error) {
	if s.cfg.Engine == nil || s.cfg.Engine.Current() == nil {
		return nil, decision.ErrNoPolicy
	}
	switch name {
	case SideServing:
		return s.cfg.Engine.Current(), nil
	case SideHeld:
		if s.cfg.Control != nil {
			if held, _ := s.cfg.Control.Candidate(); held != nil {
				return held, nil
			}
		}
		return nil, &decision.HTTPError{Status: http.StatusNotFound, Message: control.ErrNothingHeld.Error()}
	}
	src, err := s.source(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.cfg.Engine.LoadAside(ctx, src)
}

// source holds the files of a side that is on disk: nil is the engine's own.
func (s *Server) source(ctx context.Context, name string) (fs.FS, error) {
	if name == SideDisk {
		return nil, nil //nolint:nilnil // the engine's own
	}
	if s.cfg.Kept == nil {
		return nil, &decision.HTTPError{Status: http.StatusNotFound, Message: "no earlier policy is kept"}
	}
	src, err := s.cfg.Kept(ctx, name)
	switch {
	case err == nil || ctx.Err() != nil:
		return src, err
	case errors.Is(err, ErrNoSide):
		return nil, &decision.HTTPError{Status: http.StatusNotFound, Message: err.Error()}
	default:
		return nil, &decision.HTTPError{Status: http.StatusUnprocessableEntity, Message: err.Error()}
	}
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
