package control

import "time"

// Transition is what happened to a [Record].
type Transition string

// The transitions.
const (
	Held       Transition = "held"        // a candidate waits for an approval
	Approved   Transition = "approved"    // it serves
	Overridden Transition = "overridden"  // a candidate serves whatever its review said
	Rejected   Transition = "rejected"    // it cannot be approved any more
	Pinned     Transition = "pinned"      // by an order to hold what serves
	Resumed    Transition = "resumed"     // a pin ended
	RolledBack Transition = "rolled-back" // an earlier policy serves, and is pinned
	Confirming Transition = "confirming"  // what serves has to be confirmed
	Confirmed  Transition = "confirmed"   // it was
	Reverted   Transition = "reverted"    // it was not, and the policy before it serves
	Expired    Transition = "expired"     // the files have been broken for too long: what serves decides no more
	Renewed    Transition = "renewed"     // it decides again: the files are sound, or an operator ordered what serves
)

// Change is one transition that has happened.
type Change struct {
	Transition Transition
	Time       time.Time
	By         Order
	From, To   string    // revisions that served before and after; the same where the pointer did not move
	Generation uint64    // that serves after it; 0 when none does
	Digest     string    // of a candidate, where the change is about one
	Deadline   time.Time // of a wait that began; else zero
	Refused    string    // the revision that was taken back, if one was
	After      Record
}
