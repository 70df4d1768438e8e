package api

import (
	"encoding/json"
	"slices"
	"time"

	"defenseclaw/engine/review"
)

// ReviewFailedTest is a test that failed or could not be run.
type ReviewFailedTest struct {
	Name string `json:"name"`
	File string `json:"file"`
	Row  int    `json:"row"`
	Why  string `json:"why"`
}

// TestsStatus is what is known of the tests beside what serves: of the newest run, and of failures before it.
type TestsStatus struct {
	Revision   string             `json:"revision"` // of the policy
	At         time.Time          `json:"at"`       // of the newest run
	Ran        int                `json:"ran"`      // by it
	NotRun     int                `json:"not_run"`  // for lack of time
	Failed     []ReviewFailedTest `json:"failed"`   // by it, or before, and not run since
	Incomplete []string           `json:"incomplete"`
}

// ReviewerStatus is how the process is that evaluates changes.
type ReviewerStatus struct {
	Running  bool           `json:"running"`
	PID      int            `json:"pid"`             // 0 while it does not run
	Restarts uint64         `json:"restarts"`        // starts after an end that nobody wanted
	Fault    *ReviewerFault `json:"fault,omitempty"` // left out where there was none
}

// ReviewerFault is how a process ended last that nobody wanted to end, or why it could not be started.
type ReviewerFault struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	During string    `json:"during"` // tests, replay, probe, load or records; empty: nothing
}

// testsOf converts what is known of tests; nil is nothing.
func testsOf(s *review.Standing) *TestsStatus {
	if s == nil {
		return nil
	}
	return &TestsStatus{
		Revision: s.Revision, At: s.At, Ran: s.Ran, NotRun: s.NotRun, Incomplete: list(s.Incomplete),
		Failed: convert(s.Failed, func(f review.FailedTest) ReviewFailedTest { return ReviewFailedTest(f) }),
	}
}

// ReviewReplay is what recorded decisions say about a change.
type ReviewReplay struct {
	Records       int            `json:"records"`
	Reached       int            `json:"reached"` // records that the change can reach
	Replayed      int            `json:"replayed"`
	NotReplayable map[string]int `json:"not_replayable"` // by reason
	Strata        ReviewStrata   `json:"strata"`
	Flips         map[string]int `json:"flips"` // by kind, and total
	Share         ReviewShare    `json:"share"`
	Groups        []ReviewGroup  `json:"groups"`
	Unseen        []string       `json:"unseen"` // clauses of changed rules that held in no record
	Slower        []ReviewSlower `json:"slower"`
	Confidence    string         `json:"confidence"` // exact, sampled or partial
}

// ReviewStrata counts kinds of decisions.
type ReviewStrata struct {
	All      int `json:"all"`
	Replayed int `json:"replayed"`
}

// ReviewShare is an estimated part of all decisions, from 0 to 1.
type ReviewShare struct {
	Flips float64 `json:"flips"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Of    uint64  `json:"of"` // decisions that the records stand for
}

// ReviewGroup is flips that have one cause.
type ReviewGroup struct {
	Path     string       `json:"path"`
	Kind     string       `json:"kind"`
	Cause    ReviewCause  `json:"cause"`
	Count    int          `json:"count"`
	Examples []ReviewFlip `json:"examples"`
}

// ReviewCause is the deepest rule, or the place of the data, that makes the difference.
type ReviewCause struct {
	Rule string `json:"rule,omitempty"`
	File string `json:"file,omitempty"`
	Row  int    `json:"row,omitempty"`
	Data string `json:"data,omitempty"`
}

// ReviewFlip is a decision that the candidate answers otherwise. What is left out is undefined or not there.
type ReviewFlip struct {
	Path        string          `json:"path"`
	Kind        string          `json:"kind"`
	Input       json.RawMessage `json:"input,omitempty"`
	Before      json.RawMessage `json:"before,omitempty"`
	After       json.RawMessage `json:"after,omitempty"`
	BeforeError string          `json:"before_error,omitempty"`
	AfterError  string          `json:"after_error,omitempty"`
	DecisionID  string          `json:"decision_id,omitempty"`
	Time        *time.Time      `json:"time,omitempty"`
}

// ReviewSlower is a path that takes longer to decide with the candidate.
type ReviewSlower struct {
	Path   string  `json:"path"`
	Factor float64 `json:"factor"`
}

// ReviewProbe is what a search for inputs found. Nothing found is nothing proved, unless same is true.
type ReviewProbe struct {
	Found      []ReviewFlip     `json:"found"`
	Inputs     int              `json:"inputs"`
	Conditions ReviewConditions `json:"conditions"`
	NeverTrue  []string         `json:"never_true"`
	NeverFalse []string         `json:"never_false"`
	Same       bool             `json:"same"`
}

// ReviewConditions counts conditions of changed rules.
type ReviewConditions struct {
	Changed int `json:"changed"`
	Both    int `json:"both"` // seen both true and false
}

// AddEvidence puts into a review what evaluations showed.
func (w *Review) AddEvidence(e review.Evidence) {
	w.Incomplete = append(w.Incomplete, e.Incomplete...)
	if c := e.Compared; c != nil {
		w.Tests = &ReviewTests{Added: list(c.Added), Removed: list(c.Removed), Failed: []ReviewFailedTest{}}
		w.Incomplete = slices.DeleteFunc(w.Incomplete, func(s string) bool { return s == review.PartTests })
	}
	if t := e.Tests; t != nil {
		if w.Tests == nil {
			w.Tests = &ReviewTests{Added: []string{}, Removed: []string{}}
		}
		w.Tests.Ran, w.Tests.NotRun = t.Ran, t.NotRun
		w.Tests.Failed = convert(t.Failed, func(f review.FailedTest) ReviewFailedTest { return ReviewFailedTest(f) })
	}
	if e.Replay != nil {
		w.Replay = replayOf(e.Replay)
	}
	if p := e.Probe; p != nil {
		w.Probe = &ReviewProbe{
			Found: convert(p.Found, flipOf), Inputs: p.Inputs, Conditions: ReviewConditions{Changed: p.Conditions, Both: p.Both},
			NeverTrue: list(p.NeverTrue), NeverFalse: list(p.NeverFalse), Same: p.Same,
		}
	}
}

func replayOf(r *review.Replay) *ReviewReplay {
	w := &ReviewReplay{
		Records: r.Records, Reached: r.Reached, Replayed: r.Replayed, NotReplayable: map[string]int{},
		Strata: ReviewStrata{All: r.Strata, Replayed: r.StrataReplayed},
		Flips:  map[string]int{"total": r.Total()}, Share: ReviewShare(r.Share),
		Groups: convert(r.Groups, groupOf), Unseen: list(r.Unseen),
		Slower:     convert(r.Slower, func(s review.Slower) ReviewSlower { return ReviewSlower(s) }),
		Confidence: string(r.Confidence),
	}
	for reason, n := range r.NotReplayable {
		w.NotReplayable[reason] = n
	}
	for _, kind := range review.FlipKinds() {
		w.Flips[string(kind)] = r.Flips[kind]
	}
	return w
}

func groupOf(g review.Group) ReviewGroup {
	return ReviewGroup{
		Path: g.Path, Kind: string(g.Kind), Cause: ReviewCause(g.Cause), Count: g.Count, Examples: convert(g.Examples, flipOf),
	}
}

func flipOf(f review.Flip) ReviewFlip {
	w := ReviewFlip{
		Path: f.Path, Kind: string(f.Kind), Input: f.Input, Before: f.Before, After: f.After,
		BeforeError: f.BeforeError, AfterError: f.AfterError, DecisionID: f.DecisionID,
	}
	if !f.Time.IsZero() {
		w.Time = &f.Time
	}
	return w
}
