package control

import (
	"cmp"
	"slices"
	"time"
)

// look is what the files were found to hold.
type look struct {
	candidate string // revision; empty when the files are broken
	serving   string // revision; empty when none serves
	by        Order
	asked     bool          // a caller asked for it
	confirm   time.Duration // within which the caller wants a new generation to be confirmed; 0: they did not say
	always    time.Duration // within which every other one has to be; 0: it need not be
	hold      bool          // the candidate waits for an approval
	unseen    bool          // it was not reviewed, and has to be
	override  bool          // it serves whatever a review says
	startup   bool          // the first look of the process
	guards    string        // revision of what judged the candidate
}

// outcome is what a look led to.
type outcome struct {
	serve bool         // the candidate, if it does not serve already
	said  []Transition // what happened to the record, in its order
}

// take says what becomes of what the files hold.
func (r Record) take(l look, now time.Time) (Record, outcome) {
	var out outcome
	if r.Pinned != nil {
		r, out = r.takePinned(l, now)
		if r.Pinned != nil {
			return r, out
		}
	}
	switch {
	case l.candidate == "" || l.candidate == l.serving: // whatever was held, the files do not hold it any more
		r.Held = nil
		return r, out
	case l.override || r.mayServeUnseen(l):
	case l.hold:
		return r.holdCandidate(l, now, out)
	case l.unseen: // the orders were other ones when it could have been reviewed; another look follows
		return r, out
	}
	if l.override {
		r, out.said = r.by(l.by, now), append(out.said, Overridden)
	}
	out.serve, r.Held = true, nil
	r, said := r.serves(l.by, now, l.serving, l.candidate, cmp.Or(l.confirm, l.always))
	out.said = append(out.said, said...)
	return r, out
}

// takePinned ends a pin that the files have made needless.
func (r Record) takePinned(l look, now time.Time) (Record, outcome) {
	pin := *r.Pinned
	switch {
	case l.candidate != "" && l.candidate == pin.Revision && !pin.Differed:
		return r, outcome{}
	case l.candidate != "" && l.candidate == pin.Revision:
		l.by.Reason = "the files hold what was pinned"
	case l.candidate != "" && pin.Skip && !slices.Contains(pin.Refused, l.candidate):
		l.by.Reason = "the files hold something else than what was taken back"
	default:
		pin.Differed = true
		r.Pinned = &pin
		return r, outcome{}
	}
	r.Pinned = nil
	r = r.by(l.by, now)
	if l.candidate == pin.Revision {
		r = r.approve(l.candidate)
	}
	return r, outcome{said: []Transition{Resumed}}
}

// mayServeUnseen reports whether a candidate serves although nobody has judged it where somebody has to: what was
// admitted before serves again after a restart, and so does the first policy there is. Beside another one, which was
// substituted for it, that is what was admitted last.
func (r Record) mayServeUnseen(l look) bool {
	if l.serving != "" {
		return l.startup && len(r.Approved) > 0 && r.Approved[0] == l.candidate
	}
	return len(r.Approved) == 0 || slices.Contains(r.Approved, l.candidate)
}

func (r Record) holdCandidate(l look, now time.Time, out outcome) (Record, outcome) {
	held := Candidate{Digest: Digest(l.serving, l.candidate, l.guards), Base: l.serving, Candidate: l.candidate, Confirm: cmp.Or(l.confirm, l.always)}
	if was := r.Held; was != nil && was.Digest == held.Digest && (!was.Rejected || !l.asked) {
		if l.confirm > 0 && l.confirm != was.Confirm {
			held.Rejected = was.Rejected
			r.Held = &held
		}
		return r, out
	}
	r.Held, out.said = &held, append(out.said, Held)
	return r.by(l.by, now), out
}
