package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/guard"
	"defenseclaw/engine/source"
)

// guardRules are the rules in system.reload of what serves, of the candidate, and of a directory that may belong to
// somebody else.
type guardRules struct{ *guard.Guards }

// makeGuards makes the guards of changes.
func (s *Sidecar) makeGuards() {
	if s.reviewer == nil {
		return
	}
	cfg := guard.Config{}
	if dir := s.cfg.Settings.SafetyGuardsDir; dir != "" {
		cfg.Directory = func() (fs.FS, error) {
			opened, err := source.Open(dir, s.dirConfig())
			if err != nil {
				return nil, err
			}
			return opened, nil
		}
	}
	s.reviewer.guards = guardRules{guard.New(cfg)}
}

// guardsTime bounds all guards together. They are asked even where the time of the review is over: what is incomplete is
// part of what they judge.
const guardsTime = 2 * time.Second

// Judge asks the guards. Their errors ask for somebody to look, so that they refuse in the mode enforce.
func (g guardRules) Judge(ctx context.Context, s engine.Step, soFar *review.Judgment) (found []review.Finding, revision string) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, guardsTime)
	defer cancel()
	v, err := g.Guards.Judge(ctx, s.Base, s.Candidate, api.WholeReviewOf(soFar))
	if err != nil {
		return []review.Finding{{Level: review.Hold, Code: review.CodeGuardError, Message: "the guards could not be asked: " + err.Error()}}, ""
	}
	for _, f := range v.Findings {
		found = append(found, review.Finding{
			Level: review.Level(f.Level), Code: cmp.Or(f.Code, review.CodeGuard), Path: f.Path, Message: f.Msg, File: f.File, Row: f.Row,
		})
	}
	for _, f := range v.Faults {
		found = append(found, review.Finding{Level: review.Hold, Code: review.CodeGuardError, Message: f.Msg, File: f.File, Row: f.Row})
	}
	if v.Left > 0 {
		found = append(found, review.Finding{
			Level: review.Hold, Code: review.CodeGuardError, Message: fmt.Sprintf("the guards said %d things more, which were left out", v.Left),
		})
	}
	return found, v.Revision
}
