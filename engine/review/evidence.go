package review

import (
	"encoding/json"
	"time"
)

// Evidence is what evaluations showed about a step: none of it follows from the files alone. A part is nil if it was not
// asked for.
type Evidence struct {
	Tests  *TestRun
	Replay *Replay
	Probe  *Probe
	// Coverage is of the candidate, whatever the base.
	Coverage *Coverage
	// Compared are the tests that came and went, which no test says that runs: nil where those of one side are not known.
	Compared *Tests
	// Lost is the member of Incomplete that says why recorded decisions are missing which there were: what is left of them is
	// no picture of all. Empty: none are.
	Lost string
	// Incomplete says what was asked for and not done to its end, and why, such as "replay: the reviewer ended". Never is
	// a verdict made of a part that is named here as if it were complete.
	Incomplete []string
}

// TestRun is what the tests said that the change can affect.
type TestRun struct {
	Ran    int
	NotRun int // for lack of time
	Failed []FailedTest
	// Mended are those that were to run first, since they had failed, and passed.
	Mended []string
}

// FailedTest is a test that failed, or could not be run.
type FailedTest struct {
	Name string // as data.p.test_x
	File string
	Row  int
	Why  string // for people: what was false, or the error
}

// Outcome is what an answer means to a caller.
type Outcome string

// The outcomes.
const (
	OutcomeAllow Outcome = "allow"
	OutcomeDeny  Outcome = "deny" // an undefined answer, too
	OutcomeError Outcome = "error"
	OutcomeOther Outcome = "other"
)

// FlipKind is the direction of a flip.
type FlipKind string

// The kinds of a flip, the gravest first.
const (
	DenyToAllow FlipKind = "deny_to_allow"
	AllowToDeny FlipKind = "allow_to_deny"
	ToError     FlipKind = "to_error"
	FromError   FlipKind = "from_error"
	OtherFlip   FlipKind = "other"
)

// FlipKinds lists them, the gravest first.
func FlipKinds() []FlipKind {
	return []FlipKind{DenyToAllow, AllowToDeny, ToError, FromError, OtherFlip}
}

// KindOf is the kind of a flip from one outcome to another.
func KindOf(before, after Outcome) FlipKind {
	switch {
	case after == OutcomeError && before != OutcomeError:
		return ToError
	case before == OutcomeError && after != OutcomeError:
		return FromError
	case before == OutcomeDeny && after == OutcomeAllow:
		return DenyToAllow
	case before == OutcomeAllow && after == OutcomeDeny:
		return AllowToDeny
	default:
		return OtherFlip
	}
}

// Flip is a decision that the candidate answers otherwise than the base.
type Flip struct {
	Path          string // as in a decision log: firewall/allow
	Kind          FlipKind
	Input         json.RawMessage // nil: the decision had none
	Before, After json.RawMessage // the answers; nil: undefined
	// BeforeError and AfterError are there instead of an answer.
	BeforeError, AfterError string
	DecisionID              string    // of the record; empty for an input that nobody recorded
	Time                    time.Time // of the record
}

// Cause is the deepest rule whose value differs while what it refers to agrees, or the place of the data that it reads.
type Cause struct {
	Rule string // such as data.firewall.allow; empty if it was not found
	File string // of the rule in the candidate; in the base, if it is gone
	Row  int
	Data string // such as data.firewall.ports; empty unless the data changed
}

// Group is the flips of one path and kind that have one cause.
type Group struct {
	Path     string
	Kind     FlipKind
	Cause    Cause
	Count    int
	Examples []Flip // at most three, the newest first
}

// Replay is what recorded decisions say about a step.
type Replay struct {
	Records  int // that there were
	Reached  int // that the change can reach
	Replayed int // of those; the others were not, for lack of time or as NotReplayable says
	// NotReplayable counts by reason: masked, error, timeout, gone, nondeterministic.
	NotReplayable map[string]int

	Strata, StrataReplayed int // kinds of decisions, of the reached records
	Flips                  map[FlipKind]int
	Share                  Share
	Groups                 []Group  // the gravest kind first, then by count
	Unseen                 []string // clauses of changed rules that held in no record, as file:row
	Slower                 []Slower
	Confidence             Confidence
}

// Total is the number of flips.
func (r *Replay) Total() int {
	n := 0
	for _, count := range r.Flips {
		n += count
	}
	return n
}

// Share is an estimate of the part of all decisions that flip, from 0 to 1, with the bounds of its interval of 95 %.
type Share struct {
	Flips, Low, High float64
	Of               uint64 // decisions that the records stand for
}

// Slower is a path that takes longer to decide with the candidate.
type Slower struct {
	Path   string
	Factor float64 // of medians in the same run
}

// Confidence says how much of what was recorded was replayed. What is not replayable does not make it partial: only a lack
// of time does.
type Confidence string

// The confidences.
const (
	ConfidenceExact   Confidence = "exact"   // every reached record
	ConfidenceSampled Confidence = "sampled" // some of every stratum, but for those of which nothing is replayable
	ConfidencePartial Confidence = "partial" // nothing of some
)

// Probe is what a search for inputs found that base and candidate answer otherwise. Each was evaluated on both.
type Probe struct {
	Found      []Flip // each as small as it could be made
	Inputs     int    // that were evaluated
	Conditions int    // in changed rules
	Both       int    // of those: seen both true and false
	NeverTrue  []string
	NeverFalse []string // as file:row
	// Same says that nothing can differ: the affected rules mean the same. Without it, nothing found is nothing proved.
	Same bool
}
