package reviewer

import (
	"time"

	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
)

// serviceMethod names of [net/rpc]; see service for what they do.
const (
	serviceName   = "reviewer"
	methodRecords = serviceName + ".Records"
	methodLot     = serviceName + ".Lot"
	methodStep    = serviceName + ".Step"
	methodNow     = serviceName + ".Now"
)

// Batch is records on their way to the process, under numbers.
type Batch struct {
	IDs     []uint64
	Records []records.Record
}

// batchSize keeps a message to some ten kilobytes, so that making it holds up nothing else.
const batchSize = 100

// Lot names the records of a review, in their order, with what they weigh now. The process forgets all others.
type Lot struct {
	IDs     []uint64 // nil: those of the lot before
	Weights []float64
}

// Order asks for a step.
type Order struct {
	Call uint64 // see [child.Process.Call]
	Step string
	Time time.Duration // until what there is must be answered

	// Numbers of what was given; 0: none.
	Base, Candidate, Tests, TestsBefore uint64

	FailedLast           []string
	ProbeTime, TestsTime time.Duration
}

// Answer is what a step made.
type Answer struct {
	Evidence review.Evidence
	Failure  string // why there is no part; empty: there is one
}
