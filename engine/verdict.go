package engine

import (
	"context"
	"errors"
	"time"

	"defenseclaw/engine/internal/contain"
)

// Step is from what serves to what may serve next.
type Step struct {
	Trigger   Trigger
	StartedAt time.Time   // of the attempt, as in its [Report]
	Base      *Generation // nil when none serves
	Candidate *Generation
}

// Verdict is what [Config].Review says of a candidate that it does not refuse. [Config].Govern acts by it.
type Verdict struct {
	Reviewed bool   // the candidate was judged; false: it was only looked at
	Hold     bool   // it waits for an approval
	Guards   string // the revision of what judged it; empty where nothing but the program did
}

// newerError ends an attempt that nobody waits for: files are read again for another request.
type newerError struct{ request request }

func (*newerError) Error() string { return "files have changed meanwhile" }

// review asks [Config].Review, and contains its crash: what crashed has found nothing sound.
func (e *Engine) review(ctx context.Context, s Step) (g *Generation, v Verdict, err error) {
	defer contain.Panic("review the policy", &err)
	v, err = e.cfg.Review(ctx, s)
	switch {
	case err == nil:
		return s.Candidate, v, nil
	case ctx.Err() != nil: // it came to no end
		return nil, Verdict{}, ctx.Err()
	}
	refused := &Refused{Stage: StageReview, Err: err, revision: s.Candidate.revision, over: revisionOf(s.Base)}
	if own := new(Refused); errors.As(err, &own) {
		refused.Diagnostics = own.Diagnostics
	}
	return nil, Verdict{}, refused
}

func revisionOf(g *Generation) string {
	if g == nil {
		return ""
	}
	return g.Revision()
}
