package sidecar

import (
	"context"
	"slices"

	"defenseclaw/api"
	reviewing "defenseclaw/cmd/internal/reviewer"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
)

// evaluator makes evidence about a step that somebody asks the API about.
type evaluator struct {
	process *reviewing.Reviewer
	records func(context.Context) (all []records.Record, lost string, err error) // nil: decisions are not recorded
}

// newEvaluator uses the process that reviews changes. Where there is none, what is short is made in this one, at a part of
// a processor.
func (s *Sidecar) newEvaluator() *evaluator {
	v := &evaluator{}
	if s.evaluations != nil {
		v.process = s.evaluations.process
	} else {
		v.process = reviewing.New(reviewing.Config{Steps: reviewing.Steps(), Off: true})
	}
	if s.recorder != nil {
		v.records = s.recorded
	}
	return v
}

func (v *evaluator) evaluate(ctx context.Context, base, candidate *engine.Generation, steps []string) review.Evidence {
	ask := reviewing.Ask{Steps: slices.Clone(steps)}
	var incomplete []string
	ofRecords := func(name string) bool { return name == api.StepReplay || name == api.StepCoverage }
	if i := slices.IndexFunc(steps, ofRecords); i >= 0 {
		why := ""
		if v.records == nil {
			why = "decisions are not recorded"
		} else if kept, lost, err := v.records(ctx); err != nil {
			why = err.Error()
		} else {
			if ask.Records = kept; lost != "" {
				incomplete = append(incomplete, steps[i]+": "+lost)
			}
		}
		if why != "" {
			incomplete = append(incomplete, steps[i]+": "+why)
			ask.Steps = slices.DeleteFunc(ask.Steps, ofRecords)
		}
	}
	e := v.process.Review(ctx, base, candidate, ask)
	e.Incomplete = append(incomplete, e.Incomplete...)
	return e
}
