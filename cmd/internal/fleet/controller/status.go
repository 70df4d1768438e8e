package controller

import (
	"context"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/rollout"
)

// Status is how the rollout of a channel stands.
type Status struct {
	rollout.Verdict
	Gates      []rollout.Gate `json:"gates,omitempty"`      // none while no rollout runs
	Controller string         `json:"controller,omitempty"` // the newest; empty: there has been none
	Seen       time.Time      `json:"controller_seen,omitzero"`
	Away       bool           `json:"controller_away"` // nobody moves the rollout on
}

// StatusOf says how the rollout stands, nil if none runs and none was taken back. Whose silence counts is judged as by a
// controller that has listened all the time.
func StatusOf(ctx context.Context, l *fleet.Link, now fleet.Now, v *fleet.View) (*Status, error) {
	r := now.Record()
	if r == nil || r.Plan == nil || !r.Plan.Runs() && r.Plan.Halted == "" {
		return nil, nil
	}
	mark, err := Last(ctx, l, now.Channel)
	if err != nil {
		return nil, err
	}
	situation := Situation(now, v)
	s := &Status{Verdict: rollout.Judge(situation), Away: mark.Away()}
	s.Gates = s.Tally.Gates(situation)
	if mark != nil {
		s.Controller, s.Seen = mark.Controller, mark.At
	}
	return s, nil
}
