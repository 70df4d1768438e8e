package rollout

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"defenseclaw/watcher/fleet/record"
)

// Begin makes a record the first of a rollout by a plan: its target is for the first stage, or is prepared. Without a base
// there is nothing to keep serving and nothing to go back to, so the release is for everybody at once, without a plan. agents
// are those of the channel as they are before it.
func Begin(r *record.Record, plan *record.Plan, prepare bool, agents []Agent, now time.Time) error {
	if err := checkPlan(plan); err != nil {
		return err
	}
	if r.Base.Revision == "" {
		r.Plan, r.State, r.Cohort = nil, record.Active, record.Everybody()
		return nil
	}
	p := clonePlan(plan)
	if p.Stages[0].Cohort.Salt == "" {
		Salt(p, agents, now)
	}
	p.Stage, p.First, p.Since, p.Halted = 0, 0, now, ""
	var before Counts
	for _, a := range agents {
		if a.Serves == r.Base.Revision {
			before.add(a.Counters)
		}
	}
	p.Baseline = record.Share{Decisions: before.Decisions, Errors: before.Errors}
	r.Plan = p
	if prepare {
		r.State, r.Cohort = record.Prepare, nobody(p)
		return nil
	}
	r.State, r.Cohort = record.Active, cohort(p, 0)
	return nil
}

// Next makes the record that follows, nil if none does now. by is who writes it. Whoever writes it sets its epoch and time.
func Next(s Situation, by string) (*record.Record, Verdict) {
	v := Judge(s)
	switch v.Step {
	case GoOn:
		return forward(s, v.Tally, by), v
	case TakeBack:
		return back(s.Record, v.Reason, by), v
	default:
		return nil, v
	}
}

// ErrNoRollout is wrapped by the errors of what a person asks for when no rollout runs.
var ErrNoRollout = errors.New("no rollout runs")

// FailedError is the error of [Promote] when a gate was not passed.
type FailedError struct{ Verdict Verdict }

func (e *FailedError) Error() string {
	return fmt.Sprintf("the stage %s cannot be left: %s", e.Verdict.Stage, e.Verdict.Reason)
}

// Promote goes on to the next stage though the one before has not gone well for long enough, or not all have answered. A
// gate that was not passed stops it: the error is a [*FailedError]. A rollout that is paused stays paused at the next stage.
func Promote(s Situation, by string) (*record.Record, error) {
	if err := runs(s.Record); err != nil {
		return nil, err
	}
	v := Judge(s)
	if v.Step == TakeBack {
		return nil, &FailedError{v}
	}
	return forward(s, v.Tally, by), nil
}

// Pause keeps a rollout at its stage. Gates hold meanwhile: what fails is taken back.
func Pause(r *record.Record, by string) (*record.Record, error) { return setPaused(r, true, by) }

// Resume ends a pause.
func Resume(r *record.Record, by string) (*record.Record, error) { return setPaused(r, false, by) }

func setPaused(r *record.Record, paused bool, by string) (*record.Record, error) {
	if err := runs(r); err != nil {
		return nil, err
	}
	if r.Plan.Paused == paused {
		return nil, nil
	}
	next := following(r, by)
	next.Plan.Paused = paused
	return next, nil
}

// Abort takes a rollout back.
func Abort(r *record.Record, why, by string) (*record.Record, error) {
	if err := runs(r); err != nil {
		return nil, err
	}
	if r.Base.Revision == "" {
		return nil, fmt.Errorf("channel %s: there is no release to go back to", r.Channel)
	}
	reason := "aborted by " + by
	if why != "" {
		reason += ": " + why
	}
	return back(r, reason, by), nil
}

func runs(r *record.Record) error {
	switch p := r.Plan; {
	case p.Runs():
		return nil
	case p == nil:
		return fmt.Errorf("channel %s: %w: %s was published without a plan", r.Channel, ErrNoRollout, r.Target.Revision)
	case p.Halted != "":
		return fmt.Errorf("channel %s: %w: %s was taken back %s", r.Channel, ErrNoRollout, r.Target.Revision, p.Halted)
	default:
		return fmt.Errorf("channel %s: %w: all stages of %s went well", r.Channel, ErrNoRollout, r.Target.Revision)
	}
}

// forward is the record of the next stage, or the one that ends the rollout.
func forward(s Situation, t Tally, by string) *record.Record {
	next := following(s.Record, by)
	p := next.Plan
	if next.State == record.Prepare {
		next.State = record.Active
	} else {
		p.Stage++
	}
	p.Since = s.Now
	if t.Rest.Decisions >= max(minDecisions(p), 1) {
		p.Baseline = record.Share{Decisions: t.Rest.Decisions, Errors: t.Rest.Errors}
	}
	next.Cohort = cohort(p, min(p.Stage, len(p.Stages)-1))
	return next
}

// back is the record that asks for the base everywhere.
func back(r *record.Record, why, by string) *record.Record {
	const long = 2000
	next := following(r, by)
	next.State, next.Cohort = record.Active, nobody(r.Plan)
	why = "at " + StageName(r) + ": " + why
	next.Plan.Halted = strings.ToValidUTF8(why[:min(long, len(why))], "")
	return next
}

func nobody(p *record.Plan) record.Cohort {
	return record.Cohort{Salt: p.Stages[0].Cohort.Salt}
}

// following is a copy that can be changed. It carries the releases along, so a stage key may sign it.
func following(r *record.Record, by string) *record.Record {
	next := *r
	next.Plan = clonePlan(r.Plan)
	next.Plan.First = first(r)
	next.By = by
	next.Chain, next.Releases = slices.Clone(r.Chain), slices.Clone(r.Releases)
	return &next
}

func clonePlan(p *record.Plan) *record.Plan {
	c := *p
	c.Stages = slices.Clone(p.Stages)
	for i := range c.Stages {
		c.Stages[i].Cohort.Labels = maps.Clone(c.Stages[i].Cohort.Labels)
	}
	return &c
}

// Same reports whether two records are of one rollout.
func Same(a, b *record.Record) bool {
	return a.Plan != nil && b.Plan != nil && first(a) == first(b) && a.Target.Equal(b.Target)
}
