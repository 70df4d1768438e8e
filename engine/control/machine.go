package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Errors that orders may wrap.
var (
	ErrNothingServes    = errors.New("no policy serves")
	ErrNothingHeld      = errors.New("no candidate is held")
	ErrNothingToConfirm = errors.New("nothing waits to be confirmed")
	ErrConfirming       = errors.New("a change waits to be confirmed")
)

// OtherError is an approval, a rejection or a confirmation of something else than what waits for one.
type OtherError struct {
	Asked string // the digest or revision in the order
	Waits string // the one that waits
	Why   string // that it was not; may be empty
}

func (e *OtherError) Error() string {
	text := fmt.Sprintf("%s was asked for, and %s waits", e.Asked, e.Waits)
	if e.Why != "" {
		text = e.Why
	}
	return text
}

// Order says who gave an order, and why.
type Order struct {
	Actor, Reason     string
	Client, RequestID string // of the request, for the record; may be empty
}

func (r Record) by(o Order, now time.Time) Record {
	r.At, r.Actor, r.Reason = now.UTC().Round(0), o.Actor, o.Reason
	return r
}

// hold pins what serves. What waits to be confirmed goes on waiting.
func (r Record) hold(o Order, now time.Time, serving string) (Record, error) {
	if serving == "" {
		return r, ErrNothingServes
	}
	pin := Pin{Revision: serving}
	if r.Pinned != nil {
		pin.Refused, pin.Differed = r.Pinned.Refused, r.Pinned.Differed
	}
	if r.Held != nil {
		pin.Differed = true
	}
	r.Pinned, r.Held = &pin, nil
	return r.by(o, now).approve(serving), nil
}

// resume ends a pin. What waits to be confirmed goes on waiting.
func (r Record) resume(o Order, now time.Time) Record {
	if r.Pinned == nil {
		return r
	}
	r.Pinned = nil
	return r.by(o, now)
}

// rollback pins to instead of from. With a time, it pins from again unless it is confirmed within it.
func (r Record) rollback(o Order, now time.Time, from, to string, skip bool, confirm time.Duration) Record {
	pin := Pin{Revision: to, Skip: skip, Differed: true}
	if r.Pinned != nil {
		pin.Refused = r.Pinned.Refused
	}
	if pin.Refused = without(pin.Refused, to); from != to {
		pin.Refused = pushed(pin.Refused, from, maxRefused)
	}
	r.Approved = without(r.Approved, from)
	r.Held, r.Confirming, r.Pinned = nil, nil, &pin
	if confirm > 0 && from != "" {
		r.Confirming = waitFor(now, from, to, confirm)
	}
	return r.by(o, now).approve(to)
}

func waitFor(now time.Time, base, candidate string, within time.Duration) *Wait {
	return &Wait{Base: base, Candidate: candidate, Deadline: now.Add(within), Left: within}
}

// await has what serves confirmed within a time. A deadline that stands does not move.
func (r Record) await(o Order, now time.Time, base, candidate string, within time.Duration) Record {
	if r.Confirming != nil || base == "" || base == candidate {
		return r
	}
	r.Confirming = waitFor(now, base, candidate, within)
	return r.by(o, now)
}

// confirm ends the wait. revision, if not empty, is the beginning of the one that is meant.
func (r Record) confirm(o Order, now time.Time, revision string) (Record, error) {
	w := r.Confirming
	if w == nil {
		return r, ErrNothingToConfirm
	}
	if !begins(w.Candidate, revision) {
		return r, &OtherError{Asked: revision, Waits: w.Candidate}
	}
	r.Confirming = nil
	return r.by(o, now).approve(w.Candidate), nil
}

// expire goes back: what was not confirmed is refused from now on.
func (r Record) expire(now time.Time) Record {
	w := r.Confirming
	pin := Pin{Revision: w.Base, Differed: true}
	if r.Pinned != nil {
		pin.Refused = without(r.Pinned.Refused, w.Base)
	}
	pin.Refused = pushed(pin.Refused, w.Candidate, maxRefused)
	r.Approved = without(r.Approved, w.Candidate)
	r.Confirming, r.Held, r.Pinned = nil, nil, &pin
	return r.by(Order{Actor: deadlineActor, Reason: "not confirmed in time"}, now).approve(w.Base)
}

// deadlineActor is the actor of what happens because a time is over.
const deadlineActor = "deadline"

// approveHeld lets the candidate serve that is held under a digest, of which the beginning is enough.
func (r Record) approveHeld(o Order, now time.Time, digest, serving string) (Record, error) {
	if err := r.isHeld(digest); err != nil {
		return r, err
	}
	held := r.Held
	switch {
	case held.Rejected:
		return r, &OtherError{Asked: digest, Waits: held.Digest, Why: "it was rejected; policy reload offers it again"}
	case held.Base != serving:
		return r, &OtherError{Asked: digest, Waits: held.Digest, Why: "another policy serves than the one it was compared with; policy reload compares it again"}
	}
	r.Held = nil
	r, _ = r.by(o, now).serves(o, now, serving, held.Candidate, held.Confirm)
	return r, nil
}

// serves notes that a candidate takes the place of what serves. confirm is the time within which it has to be confirmed;
// 0: it need not be.
func (r Record) serves(o Order, now time.Time, serving, candidate string, confirm time.Duration) (Record, []Transition) {
	r = r.approve(candidate)
	switch w := r.Confirming; {
	case w != nil && w.Base == candidate: // it is the way back itself
		r.Confirming = nil
		return r.by(o, now), []Transition{Reverted}
	case w != nil: // the deadline does not move with further changes
		moved := *w
		moved.Candidate = candidate
		r.Confirming = &moved
	case confirm > 0:
		if r = r.await(o, now, serving, candidate, confirm); r.Confirming != nil {
			return r, []Transition{Confirming}
		}
	}
	return r, nil
}

// reject keeps the candidate from being approved until the files hold another one or a reload is asked for.
func (r Record) reject(o Order, now time.Time, digest string) (Record, error) {
	if err := r.isHeld(digest); err != nil {
		return r, err
	}
	held := *r.Held
	held.Rejected = true
	r.Held = &held
	return r.by(o, now), nil
}

func (r Record) isHeld(digest string) error {
	switch {
	case r.Held == nil:
		return ErrNothingHeld
	case digest == "" || !begins(r.Held.Digest, digest):
		return &OtherError{Asked: digest, Waits: r.Held.Digest}
	}
	return nil
}

// minPrefix is the number of digits from which a text is taken for the beginning of a digest or revision.
const minPrefix = 8

// begins reports whether asked, which may be empty, is the beginning of a hash, with or without its "sha256:".
func begins(hash, asked string) bool {
	if asked == "" || asked == hash {
		return true
	}
	digits := strings.TrimPrefix(asked, "sha256:")
	return len(digits) >= minPrefix && strings.HasPrefix(strings.TrimPrefix(hash, "sha256:"), digits)
}

// refuses reports whether a revision was taken back.
func (r Record) refuses(revision string) bool {
	return r.Pinned != nil && slices.Contains(r.Pinned.Refused, revision)
}
