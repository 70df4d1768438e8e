package record

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
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
	Gone     Gone   `json:"gone,omitzero"`
}

// Gone names what a release lacks on purpose, which agents would else not let go of. A release has it from the one before, for
// as long as it lacks it: an agent may have missed that one.
type Gone struct {
	Packages []string `json:"packages,omitempty"` // a/b for data.a.b
	Files    []string `json:"files,omitempty"`    // of data
}

// IsZero reports whether it names nothing.
func (g Gone) IsZero() bool { return len(g.Packages) == 0 && len(g.Files) == 0 }

// Equal reports whether two releases are one, also in what they lack on purpose.
func (r Release) Equal(other Release) bool {
	return r.Revision == other.Revision && r.Files == other.Files && r.Bytes == other.Bytes && r.Chunks == other.Chunks &&
		slices.Equal(r.Gone.Packages, other.Gone.Packages) && slices.Equal(r.Gone.Files, other.Gone.Files)
}

// Cohort selects agents: those of the percentage that have all the labels, and those of the other cohorts.
type Cohort struct {
	Percent float64           `json:"percent"` // 0 to 100
	Salt    string            `json:"salt"`    // makes each rollout begin with other agents
	Labels  map[string]string `json:"labels,omitempty"`
	Also    []Cohort          `json:"also,omitempty"` // of earlier stages that this one would leave out
}

// Everybody is the cohort of all agents.
func Everybody() Cohort { return Cohort{Percent: 100} }

// Holds reports whether an agent is in the cohort. Who is in the cohort of a percentage is in that of any higher one with
// the same salt and labels.
func (c Cohort) Holds(agent string, labels map[string]string) bool {
	return c.holds(agent, labels) || slices.ContainsFunc(c.Also, func(also Cohort) bool { return also.Holds(agent, labels) })
}

func (c Cohort) holds(agent string, labels map[string]string) bool {
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

// Watched reports whether a rollout looks at an agent now. An agent that is watched repeats its acknowledgement more often.
func (r *Record) Watched(agent string, labels map[string]string) bool {
	return r.Plan.Runs() && (r.State == Prepare || r.Cohort.Holds(agent, labels))
}

// Settled is what serves where no rollout decides: the base of one that runs or was taken back, or that is for some of the
// agents, and else the target. What is published next starts from it.
func (r *Record) Settled() Release {
	everybody := r.State == Active && r.Cohort.Percent >= 100 && len(r.Cohort.Labels) == 0
	if r.Base.Revision == "" || everybody && !r.Plan.Runs() {
		return r.Target
	}
	return r.Base
}

// Plan is how a rollout goes on. Whoever moves it (a controller, or a person) writes a record with the next stage.
type Plan struct {
	Stages []Stage       `json:"stages"`
	Stage  int           `json:"stage"` // the index of the one that this record is; len(Stages): all went well
	First  uint64        `json:"first"` // the epoch of the first record of the rollout
	Since  time.Time     `json:"since"` // when the stage began
	Soak   time.Duration `json:"soak"`  // of stages that have none of their own, in nanoseconds
	Paused bool          `json:"paused,omitempty"`
	Halted string        `json:"halted,omitempty"` // where and why it was taken back; the cohort is then nobody

	MaxFlips     float64 `json:"max_flips"`               // the share of replayed decisions that may flip; below 0: any
	MinDecisions int     `json:"min_decisions,omitempty"` // which a cohort has to make in a stage; 0: 200; below 0: none

	// Baseline is what the agents outside of the cohort counted before the stage began. It stands for them where no agent, or
	// no decision, is left outside.
	Baseline Share `json:"baseline,omitzero"`
}

// Share is how many decisions of some ended in an error.
type Share struct {
	Decisions uint64 `json:"decisions"`
	Errors    uint64 `json:"errors"`
}

// Runs reports whether the rollout has neither ended nor was taken back. It may be paused.
func (p *Plan) Runs() bool { return p != nil && p.Halted == "" && p.Stage < len(p.Stages) }

// Stage is a step of a plan.
type Stage struct {
	Cohort Cohort        `json:"cohort"`         // without those of the stages before
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
	case r.Plan != nil && (r.Plan.Stage < 0 || r.Plan.Stage > len(r.Plan.Stages)):
		return fmt.Errorf("the record of channel %s is at stage %d of %d", r.Channel, r.Plan.Stage, len(r.Plan.Stages))
	case !(r.Cohort.Percent >= 0 && r.Cohort.Percent <= 100):
		return fmt.Errorf("the record of channel %s is for %v percent of the agents", r.Channel, r.Cohort.Percent)
	}
	return nil
}
