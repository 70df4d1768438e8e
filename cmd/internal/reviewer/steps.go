package reviewer

import (
	"context"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
	"defenseclaw/engine/review/replay"
)

// Names of steps, in the order in which they are made.
const (
	Tests  = "tests"
	Replay = "replay"
	Probe  = "probe"
	// Coverage is about the candidate alone: what recorded decisions reach of it.
	Coverage = "coverage"
)

// Waiting is the step of progress, of [review.WithProgress], while another review is made.
const Waiting = "wait"

// Ask says what a review is made of.
type Ask struct {
	// Steps are names of steps.
	Steps []string
	// Change is what differs between base and candidate, if that is known already; nil: it is found out.
	Change *review.Review
	// Tests are those beside the candidate and the base; nil: there are none.
	Tests, TestsBefore *engine.Tests
	// FailedLast are names of tests that failed and run first, in addition to those that failed in the review before.
	FailedLast []string
	// Records are those that are replayed, and where a probe begins.
	Records []records.Record
	// ProbeTime and TestsTime are of processor time; 0: a second for the probe, two for the tests.
	ProbeTime, TestsTime time.Duration
}

// Work is what a step has to go by.
type Work struct {
	Base, Candidate      *engine.Generation // Base is nil for the first policy
	Change               *review.Review     // of them; nil: it is not known
	Tests, TestsBefore   *engine.Tests      // beside them; nil: there are none
	FailedLast           []string           // names of tests
	Records              []records.Record
	ProbeTime, TestsTime time.Duration

	// Baseline is what Base answered to a record in an earlier review, and OnAnswer is told what Candidate answers: see
	// [replay.Options]. Both may be nil.
	Baseline func(record int) (_ replay.Answer, known bool)
	OnAnswer func(record int, a replay.Answer)

	// Share is the part of a processor that the work may take, from 0 to 1; 0: all of it, which is for a process of its own.
	Share float64
}

// Step makes one part of the evidence.
type Step struct {
	Name string

	// Run adds the part to e, and to e.Incomplete what it could not do. An error is that there is no part. It returns soon
	// after ctx has ended, with what it has if that is of use.
	Run func(ctx context.Context, w *Work, e *review.Evidence) error

	// Small reports whether a step is so small that it is made in the serving process. With alone, there is no other
	// process, and it reports whether it is small enough to be made at all. nil: never.
	Small func(w *Work, alone bool) bool
}
