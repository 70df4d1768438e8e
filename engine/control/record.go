package control

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"
)

// Mode is what holds the policy that serves.
type Mode string

// The modes.
const (
	ModeFollow     Mode = "follow"     // nothing: what the files hold serves
	ModeHeld       Mode = "held"       // the files hold a candidate that waits for an approval
	ModePinned     Mode = "pinned"     // an order; the files are looked at, and not taken
	ModeConfirming Mode = "confirming" // what serves gives way to the generation before unless it is confirmed
)

// Record is everything that is ordered. It is a value: each transition returns the next one.
type Record struct {
	At     time.Time `json:"at"`               // of the order
	Actor  string    `json:"actor,omitempty"`  // who gave it
	Reason string    `json:"reason,omitempty"` // in their words

	Held       *Candidate `json:"held,omitempty"`
	Pinned     *Pin       `json:"pinned,omitempty"`
	Confirming *Wait      `json:"confirming,omitempty"` // together with Pinned, the files are not taken meanwhile
	Broken     *Broken    `json:"broken,omitempty"`     // only with Config.MaxStale
	Approved   []string   `json:"approved,omitempty"`   // revisions that served or were let serve, the newest first
}

// Candidate waits for an approval.
type Candidate struct {
	Digest    string `json:"digest"` // see [Digest]
	Base      string `json:"base"`   // the revision that served when it was held; empty when none did
	Candidate string `json:"candidate"`
	Rejected  bool   `json:"rejected,omitempty"`

	// Confirm is the time within which it has to be confirmed once it serves; 0: it need not be.
	Confirm time.Duration `json:"confirm_ns,omitempty"`
}

// Pin keeps one revision in service.
type Pin struct {
	Revision string   `json:"revision"`          // empty: nothing may serve until the pin ends
	Refused  []string `json:"refused,omitempty"` // revisions that were taken back, the newest first
	Skip     bool     `json:"skip,omitempty"`    // the pin ends when the files hold anything that is sound and not refused

	// Differed says that the files held something else since the pin began. Without it, a pin of what the files hold
	// would end at the next look at them.
	Differed bool `json:"differed,omitempty"`
}

// Wait is a generation that has to be confirmed.
type Wait struct {
	Base      string        `json:"base"` // the revision to go back to
	Candidate string        `json:"candidate"`
	Deadline  time.Time     `json:"deadline"`
	Left      time.Duration `json:"left_ns"` // until the deadline when the record was written, by a clock that nobody sets
}

// The bounds of the lists in a record.
const (
	maxApproved = 64
	maxRefused  = 64
)

// Mode names what holds the policy. A wait goes before a pin: it ends by itself.
func (r Record) Mode() Mode {
	switch {
	case r.Confirming != nil:
		return ModeConfirming
	case r.Pinned != nil:
		return ModePinned
	case r.Held != nil:
		return ModeHeld
	default:
		return ModeFollow
	}
}

// Digest names a change: what serves, what may serve next, and what judged it. An approval is given to a digest, so it
// is void when any of them is another one.
func Digest(base, candidate, guards string) string {
	text, err := json.Marshal([]string{base, candidate, guards}) // as that of package review, which a dry run tells
	if err != nil {
		return "" // strings can always be marshalled
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// approve adds a revision to those that may serve after a restart.
func (r Record) approve(revision string) Record {
	r.Approved = pushed(r.Approved, revision, maxApproved)
	return r
}

// pushed is list with one of it, or a new one, at its head.
func pushed(list []string, one string, limit int) []string {
	if one == "" {
		return list
	}
	next := append([]string{one}, without(list, one)...)
	return next[:min(len(next), limit)]
}

func without(list []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == one })
}
