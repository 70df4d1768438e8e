package rollout

import (
	"fmt"
	"time"

	"defenseclaw/watcher/fleet/record"
)

// GateState is whether a stage has passed a gate.
type GateState string

// The states of gates.
const (
	Passed GateState = "passed"
	Open   GateState = "open"   // it is too early to say
	Failed GateState = "failed" // the stage is taken back
)

// Gate is one of what a stage has to pass.
type Gate struct {
	Name  string    `json:"gate"`
	State GateState `json:"state"`
	Text  string    `json:"text"` // the numbers, and what they are compared with
}

// Gates are those of the stage that a situation is at, whose tally is t; none while no rollout runs. One of them fails exactly if [Judge] says
// [TakeBack], or [Paused] where there is no release to go back to.
func (t *Tally) Gates(s Situation) []Gate {
	p := s.Record.Plan
	if !p.Runs() {
		return nil
	}
	done := "serve it"
	if s.Record.State == record.Prepare {
		done = "are ready"
	}
	gates := []Gate{
		{"refusals", failedIf(len(t.Refused) > 0), fmt.Sprintf("%d of %d agents refused, none may", len(t.Refused), t.Cohort)},
		{"lost agents", failedIf(t.tooManyLost()), fmt.Sprintf("%d of %d agents lost, %.0f %% may be", len(t.Lost), t.Cohort, 100*maxLost)},
		{"errors", failedIf(t.tooManyErrors(p)), fmt.Sprintf("%d of %d decisions ended in an error; at most %.2g %% may, a point more than elsewhere",
			t.Of.Errors, t.Of.Decisions, 100*(t.baseline(p)+maxErrors))},
	}
	if p.MaxFlips >= 0 {
		gates = append(gates, Gate{"flips", failedIf(t.tooManyFlips(p)), fmt.Sprintf("%d of %d replayed decisions flipped, %.2g %% may", t.Of.Flips, t.Of.Replayed, 100*p.MaxFlips)})
	}
	gates = append(gates, Gate{"answers", openIf(t.Done == 0 || t.Done+len(t.Lost) < t.Cohort), fmt.Sprintf("%d of %d agents %s", t.Done, t.Cohort, done)})
	if s.Record.State == record.Prepare {
		return gates
	}
	until := p.Since.Add(soak(p))
	gates = append(gates, Gate{"time", openIf(until.After(s.Now)), fmt.Sprintf("it has to go well until %s UTC", until.UTC().Format(time.TimeOnly))})
	if need := minDecisions(p); need > 0 {
		gates = append(gates, Gate{"decisions", openIf(t.Of.Decisions < need), fmt.Sprintf("the cohort made %d decisions, %d are needed", t.Of.Decisions, need)})
	}
	return gates
}

func failedIf(failed bool) GateState {
	if failed {
		return Failed
	}
	return Passed
}

func openIf(open bool) GateState {
	if open {
		return Open
	}
	return Passed
}

// StageState is how far a rollout has come with a stage.
type StageState string

// The states of stages.
const (
	StageDone   StageState = "done"
	StageNow    StageState = "now"
	StageNext   StageState = "next"
	StageHalted StageState = "halted" // the rollout was taken back at it
	StageNever  StageState = "never"  // it was taken back before
)

// Progress is how far a rollout has come with one of its stages.
type Progress struct {
	Name  string
	State StageState
	Soak  time.Duration // how long it has to go well
	Since time.Time     // of the stage that is now: when it began
	Until time.Time     // of the stage that is now: when it has gone well for long enough; zero while the release is prepared
}

// Stages are those of a record's plan, the preparation first while there is one. There are none without a plan.
func Stages(r *record.Record) []Progress {
	p := r.Plan
	if p == nil {
		return nil
	}
	var all []Progress
	at := p.Stage
	if r.State == record.Prepare {
		all = append(all, Progress{Name: "prepare", State: StageNow, Since: p.Since})
		at = -1
	}
	for i, stage := range p.Stages {
		one := Progress{Name: Describe(stage.Cohort), State: StageNext, Soak: stage.Soak}
		if one.Soak <= 0 {
			one.Soak = p.Soak
		}
		switch {
		case i < at:
			one.State = StageDone
		case i == at && p.Halted != "":
			one.State = StageHalted
		case i == at:
			one.State, one.Since, one.Until = StageNow, p.Since, p.Since.Add(one.Soak)
		case p.Halted != "":
			one.State = StageNever
		}
		all = append(all, one)
	}
	return all
}
