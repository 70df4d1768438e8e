package sidecar

import (
	"context"
	"sync/atomic"
	"time"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

// A reviewer says what the last change of what serves was. It works after the swap and away from the announcements, so
// that no edit waits for it; of a burst of edits it reviews the last.
type reviewer struct {
	newest chan step // holds one
	last   atomic.Pointer[api.ReviewSummary]
}

// step is from one generation to the one that followed it.
type step struct{ base, candidate *engine.Generation }

func newReviewer() *reviewer { return &reviewer{newest: make(chan step, 1)} }

// announce never waits. The engine makes one announcement at a time.
func (v *reviewer) announce(_ context.Context, r engine.Report) error {
	if r.Result != engine.Success || r.Previous == nil {
		return nil
	}
	select {
	case <-v.newest: // superseded
	default:
	}
	select {
	case v.newest <- step{r.Previous, r.Generation}:
	default: // another one came between
	}
	return nil
}

// run reviews until ctx ends.
func (v *reviewer) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-v.newest:
			summary := api.SummaryOf(review.Of(s.base, s.candidate), time.Now().UTC())
			v.last.Store(&summary)
		}
	}
}
