package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/control"
)

// Control is what is ordered about the policy that serves.
type Control struct {
	Mode      string       `json:"mode"` // follow, held, pinned or confirming
	Since     *time.Time   `json:"since,omitempty"`
	Actor     string       `json:"actor,omitempty"`
	Reason    string       `json:"reason,omitempty"`
	Digest    string       `json:"digest,omitempty"`    // of what is held
	Rejected  bool         `json:"rejected,omitempty"`  // what is held was rejected
	Revision  string       `json:"revision,omitempty"`  // that is pinned
	Refused   []string     `json:"refused,omitempty"`   // revisions that were taken back
	Skip      bool         `json:"skip,omitempty"`      // the pin ends when the files hold anything else that is sound
	Base      string       `json:"base,omitempty"`      // the revision that what is held is compared with, or to go back to
	Candidate string       `json:"candidate,omitempty"` // the revision that is held, or has to be confirmed
	Deadline  *time.Time   `json:"deadline,omitempty"`  // of the confirmation
	Disk      *ControlDisk `json:"disk,omitempty"`      // what the files held when they were looked at last
	Error     string       `json:"error,omitempty"`     // why a restart would not know of the order

	// Stale is there while the files are broken, with safety.max_stale.
	Stale *ControlStale `json:"stale,omitempty"`
}

// ControlStale says how old what serves may become.
type ControlStale struct {
	Since   time.Time `json:"since"`   // the files are broken
	Until   time.Time `json:"until"`   // decisions are made
	Expired bool      `json:"expired"` // decisions are not made any more
}

// ControlDisk is what the files hold.
type ControlDisk struct {
	State    string     `json:"state"` // same, differs or broken, compared with what serves
	Revision string     `json:"revision,omitempty"`
	Error    string     `json:"error,omitempty"`
	At       *time.Time `json:"at,omitempty"`
}

// ControlOf converts what is ordered.
func ControlOf(now control.Status) *Control {
	c := &Control{Mode: string(now.Mode()), Actor: now.Actor, Reason: now.Reason, Error: now.Error}
	c.Since = OptionalTime(now.At)
	if h := now.Held; h != nil {
		c.Digest, c.Base, c.Candidate, c.Rejected = h.Digest, h.Base, h.Candidate, h.Rejected
	}
	if p := now.Pinned; p != nil {
		c.Revision, c.Refused, c.Skip = p.Revision, p.Refused, p.Skip
	}
	if w := now.Confirming; w != nil {
		deadline := w.Deadline.UTC().Round(0)
		c.Base, c.Candidate, c.Deadline = w.Base, w.Candidate, &deadline
	}
	if s := now.Stale; s != nil {
		stale := ControlStale(*s)
		c.Stale = &stale
	}
	if d := now.Disk; d.State != control.DiskUnknown {
		c.Disk = &ControlDisk{State: string(d.State), Revision: d.Revision, Error: d.Error, At: OptionalTime(d.At)}
	}
	return c
}

// orders is what is ordered now; nil while the files are followed.
func (s *Server) orders() *Control {
	if s.cfg.Control == nil {
		return nil
	}
	now := s.cfg.Control.Status()
	if now.Mode() == control.ModeFollow {
		return nil
	}
	return ControlOf(now)
}

// notTaken is the answer of a reload of sound files that an order keeps from serving.
func (s *Server) notTaken(report engine.Report) ReloadAnswer {
	answer := ReloadAnswer{Status: "held", Control: s.orders(), DurationMS: milliseconds(report.Duration)}
	answer.Error = "reload held: an order keeps the files from serving"
	if c := answer.Control; c != nil {
		answer.Error = fmt.Sprintf("reload held: %s since %s by %s", c.Mode, c.Since.Format(time.RFC3339), cmp.Or(c.Actor, "unknown"))
		if c.Mode == string(control.ModeHeld) {
			answer.Error += ": the files wait for policy approve " + c.Digest
		} else {
			answer.Error += ": the files do not serve until policy resume"
		}
	}
	if report.Generation != nil {
		answer.Generation, answer.Revision = report.Generation.Number(), report.Generation.Revision()
	}
	return answer
}

// ControlAnswer is the body of the answers to orders.
type ControlAnswer struct {
	Status     string   `json:"status,omitempty"` // pinned, rolled-back, confirmed, approved or rejected
	Error      string   `json:"error,omitempty"`  // why an order that is carried out answers 500
	Generation uint64   `json:"generation,omitempty"`
	Seq        uint64   `json:"seq,omitempty"` // of a rollback: the number in the history
	Revision   string   `json:"revision,omitempty"`
	Control    *Control `json:"control"`

	Held *HeldDigest `json:"held,omitempty"` // with 409: what is held instead
}

// HeldDigest names what is held.
type HeldDigest struct {
	Digest string `json:"digest"`
}

// ControlRequest is the body of orders. All fields may be left out, and so may the body.
type ControlRequest struct {
	To      string `json:"to,omitempty"`      // rollback: a number or the beginning of a revision of the history
	Skip    bool   `json:"skip,omitempty"`    // rollback
	Confirm string `json:"confirm,omitempty"` // rollback: within which time, such as 10m
	Reason  string `json:"reason,omitempty"`

	Revision string `json:"revision,omitempty"` // confirm: the beginning of the one that is meant
	Digest   string `json:"digest,omitempty"`   // approve, reject: the digest of what is held, or its beginning
}

// order reads a request that orders something, whose body may have these fields and no others: an order whose field is
// misspelled must not be carried out without it.
func (s *Server) order(r *http.Request, fields ...string) (in ControlRequest, by control.Order, err error) {
	if s.cfg.Control == nil {
		return in, by, &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: "policy_dir not configured"}
	}
	body, err := decision.Body(r)
	if err != nil {
		return in, by, err
	}
	if len(bytes.TrimSpace(body)) > 0 {
		given := map[string]json.RawMessage{}
		for _, into := range []any{&given, &in} {
			r.Body = io.NopCloser(bytes.NewReader(body))
			if err := decision.Decode(r, into); err != nil {
				return in, by, err
			}
		}
		fields = append(fields, "reason")
		for name := range given {
			if !slices.Contains(fields, name) {
				return in, by, decision.BadRequest("there is no field %.100q: one of %s was expected", name, strings.Join(fields, ", "))
			}
		}
	}
	for name, text := range map[string]string{"to": in.To, "revision": in.Revision, "reason": in.Reason, "digest": in.Digest} {
		if strings.ContainsFunc(text, unicode.IsControl) || len(text) > maxOrderText {
			return in, by, decision.BadRequest("%s has control characters, or more than %d bytes", name, maxOrderText)
		}
	}
	by = control.Order{Actor: callerName(r.Context()), Reason: in.Reason, Client: client(r), RequestID: r.Header.Get(HeaderRequestID)}
	return in, by, nil
}

// maxOrderText bounds a text of an order, in bytes: it is in the record on disk and in every status.
const maxOrderText = 1000

// ordered answers an order. One that is carried out and not durable is a 500 that says both.
func (s *Server) ordered(w http.ResponseWriter, answer ControlAnswer, err error) error {
	var lost *control.NotDurableError
	var other *control.OtherError
	var damaged *control.DamagedError
	answer.Control = ControlOf(s.cfg.Control.Status())
	if g := s.current(); g != nil {
		answer.Generation, answer.Revision = g.Number(), g.Revision()
	}
	switch {
	case err == nil:
		decision.WriteJSON(w, http.StatusOK, answer)
		return nil
	case errors.As(err, &lost):
		answer.Error = lost.Error()
		decision.WriteJSON(w, http.StatusInternalServerError, answer)
		return nil
	case errors.As(err, &damaged):
		return &decision.HTTPError{Status: http.StatusUnprocessableEntity, Message: err.Error()}
	case errors.Is(err, control.ErrNotKept), errors.Is(err, control.ErrNothingHeld):
		return &decision.HTTPError{Status: http.StatusNotFound, Message: err.Error()}
	case errors.As(err, &other), errors.Is(err, control.ErrNothingToConfirm), errors.Is(err, control.ErrNothingServes):
		refused := ControlAnswer{Error: err.Error(), Control: answer.Control}
		if answer.Control.Digest != "" {
			refused.Held = &HeldDigest{answer.Control.Digest}
		}
		decision.WriteJSON(w, http.StatusConflict, refused)
		return nil
	}
	return err
}

// rollback is POST /policy/rollback.
func (s *Server) rollback(w http.ResponseWriter, r *http.Request) error {
	in, by, err := s.order(r, "to", "skip", "confirm")
	if err != nil {
		return err
	}
	to := control.Target{To: in.To, Skip: in.Skip}
	if to.Confirm, err = within("confirm", in.Confirm); err != nil {
		return err
	}
	done, err := s.cfg.Control.Rollback(r.Context(), by, to)
	return s.ordered(w, ControlAnswer{Status: string(control.RolledBack), Seq: done.Seq}, err)
}

// hold is POST /policy/hold.
func (s *Server) hold(w http.ResponseWriter, r *http.Request) error {
	_, by, err := s.order(r)
	if err != nil {
		return err
	}
	return s.ordered(w, ControlAnswer{Status: string(control.Pinned)}, s.cfg.Control.Hold(r.Context(), by))
}

// resume is POST /policy/resume: it ends a pin and reloads.
func (s *Server) resume(w http.ResponseWriter, r *http.Request) error {
	_, by, err := s.order(r)
	if err != nil {
		return err
	}
	if _, err := s.cfg.Control.Resume(r.Context(), by); err != nil {
		return s.ordered(w, ControlAnswer{Status: string(control.Resumed)}, err)
	}
	return s.reload(w, r)
}

// confirm is POST /policy/confirm.
func (s *Server) confirm(w http.ResponseWriter, r *http.Request) error {
	in, by, err := s.order(r, "revision")
	if err != nil {
		return err
	}
	return s.ordered(w, ControlAnswer{Status: string(control.Confirmed)}, s.cfg.Control.Confirm(r.Context(), by, in.Revision))
}

// approve is POST /policy/approve: what was held serves, as it was reviewed; nothing is read again.
func (s *Server) approve(w http.ResponseWriter, r *http.Request) error {
	in, by, err := s.order(r, "digest")
	if err != nil {
		return err
	}
	if in.Digest == "" {
		return decision.BadRequest("digest is required: policy status shows that of what is held")
	}
	_, err = s.cfg.Control.Approve(r.Context(), by, in.Digest)
	return s.ordered(w, ControlAnswer{Status: string(control.Approved)}, err)
}

// reject is POST /policy/reject.
func (s *Server) reject(w http.ResponseWriter, r *http.Request) error {
	in, by, err := s.order(r, "digest")
	if err != nil {
		return err
	}
	if in.Digest == "" {
		return decision.BadRequest("digest is required: policy status shows that of what is held")
	}
	return s.ordered(w, ControlAnswer{Status: string(control.Rejected)}, s.cfg.Control.Reject(r.Context(), by, in.Digest))
}

// confirmsWithin reads the parameter confirm of a reload.
func confirmsWithin(r *http.Request) (time.Duration, error) {
	return within("confirm", r.URL.Query().Get("confirm"))
}

// The bounds of the time for a confirmation.
const (
	minConfirm = time.Second
	maxConfirm = 7 * 24 * time.Hour
)

func within(name, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < minConfirm || d > maxConfirm {
		return 0, decision.BadRequest("%s is %.100q: a time from %s to %s was expected, such as 10m", name, text, minConfirm, maxConfirm)
	}
	return d, nil
}
