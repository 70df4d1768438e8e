package record

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// Version is the version of the wire format. Agents refuse records of another one.
const Version = 1

// State is what agents do with a record's target.
type State string

// The states.
const (
	Prepare State = "prepare" // load and check the target, serve the base, and acknowledge ready or refused
	Active  State = "active"  // who is in the cohort serves the target, the others the base
)

// Record is what a channel says now.
type Record struct {
	V       int    `json:"v"`
	Channel string `json:"channel"`

	// Epoch orders the records of a channel: max(previous + 1, Unix milliseconds). Agents take higher ones only.
	Epoch uint64 `json:"epoch"`

	State  State    `json:"state"`
	Target Release  `json:"target"`
	Base   Release  `json:"base,omitzero"` // zero: there is none, and the cohort is everybody
	Cohort Cohort   `json:"cohort"`
	Plan   *Plan    `json:"plan,omitempty"`  // nil: this record is the whole rollout
	Chain  []string `json:"chain,omitempty"` // the revisions before the target, newest first, at most eight

	// Releases are signed notes, one of each of Target and Base: see [SealRelease].
	Releases []string `json:"releases"`

	Agents  int       `json:"agents"`           // how many there are, as far as the publisher knows: who fetches spreads over that
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Time    time.Time `json:"time"`
	By      string    `json:"by"`
	Message string    `json:"message,omitempty"`
}

// Release is a set of files.
type Release struct {
	Revision string `json:"revision"` // as the engine computes it: sha256: and a hash of all paths and bytes
	Files    int    `json:"files"`
	Bytes    int64  `json:"bytes"`  // of the files
	Chunks   int    `json:"chunks"` // of the snapshot
}

// Cohort selects agents: those of the percentage that have all the labels.
type Cohort struct {
	Percent float64           `json:"percent"` // 0 to 100
	Salt    string            `json:"salt"`    // makes each rollout begin with other agents
	Labels  map[string]string `json:"labels,omitempty"`
}

// Everybody is the cohort of all agents.
func Everybody() Cohort { return Cohort{Percent: 100} }

// Holds reports whether an agent is in the cohort. Who is in the cohort of a percentage is in that of any higher one with
// the same salt and labels.
func (c Cohort) Holds(agent string, labels map[string]string) bool {
	for name, want := range c.Labels {
		if got, ok := labels[name]; !ok || got != want {
			return false
		}
	}
	if c.Percent >= 100 {
		return true
	}
	sum := sha256.Sum256([]byte(c.Salt + "/" + agent))
	const parts = 1_000_000
	return float64(binary.BigEndian.Uint64(sum[:8])%parts) < c.Percent/100*parts
}

// Wanted is what an agent is to serve. While the state is [Prepare] that is the base for everybody.
func (r *Record) Wanted(agent string, labels map[string]string) Release {
	if r.Base.Revision == "" || r.State == Active && r.Cohort.Holds(agent, labels) {
		return r.Target
	}
	return r.Base
}

// Plan is how a rollout goes on. Whoever moves it (a controller, or a person) writes a record with the next stage.
type Plan struct {
	Stages   []Stage       `json:"stages"`
	Stage    int           `json:"stage"` // the index of the one that this record is
	Since    time.Time     `json:"since"` // when it began
	Paused   bool          `json:"paused,omitempty"`
	Halted   string        `json:"halted,omitempty"` // why it was taken back; the record then asks for the base everywhere
	MaxFlips float64       `json:"max_flips"`        // the share of decisions that may flip; below 0: any
	Lost     []string      `json:"lost,omitempty"`   // who was lost before the stage began, and does not count against it
	Soak     time.Duration `json:"soak"`             // of stages that have none of their own, in nanoseconds
}

// Stage is a step of a plan.
type Stage struct {
	Cohort Cohort        `json:"cohort"`
	Soak   time.Duration `json:"soak,omitempty"` // how long it has to go well, in nanoseconds; 0: [Plan.Soak]
}

// NextEpoch is the epoch of a record after one with epoch previous.
func NextEpoch(previous uint64, now time.Time) uint64 {
	return max(previous+1, uint64(max(now.UnixMilli(), 0))) //nolint:gosec // it is not negative
}

// check says what makes a record that was signed no record.
func (r *Record) check() error {
	switch {
	case r.V != Version:
		return fmt.Errorf("the record has version %d, and %d was expected", r.V, Version)
	case r.Epoch == 0:
		return fmt.Errorf("the record of channel %s has no epoch", r.Channel)
	case r.Target.Revision == "":
		return fmt.Errorf("the record of channel %s names no revision", r.Channel)
	case r.State != Prepare && r.State != Active:
		return fmt.Errorf("the record of channel %s has the state %q: prepare or active was expected", r.Channel, r.State)
	case r.State == Prepare && r.Base.Revision == "":
		return fmt.Errorf("the record of channel %s prepares without a base to serve meanwhile", r.Channel)
	case !(r.Cohort.Percent >= 0 && r.Cohort.Percent <= 100):
		return fmt.Errorf("the record of channel %s is for %v percent of the agents", r.Channel, r.Cohort.Percent)
	}
	return nil
}
