package replay

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
)

const (
	minTimed      = 8   // records of a path whose times say something
	maxTimed      = 9   // that are evaluated once more on both sides
	maxTimedPaths = 16  // those with most records
	slowerBy      = 1.5 // less is noise
)

// timeSlower evaluates some records of the paths with most of them once more, on both sides in turns, so that what else
// the machine does falls on both. A path that seems slower is looked at again, and the lower factor counts.
func (r *run) timeSlower(ctx context.Context) {
	if r.base == nil {
		return
	}
	var often []*path
	for _, p := range r.paths {
		if len(p.replayed) >= minTimed {
			often = append(often, p)
		}
	}
	slices.SortFunc(often, func(a, b *path) int {
		return cmp.Or(len(b.replayed)-len(a.replayed), cmp.Compare(a.String(), b.String()))
	})
	for _, p := range often[:min(len(often), maxTimedPaths)] {
		factor := math.Inf(1)
		for range 2 {
			if factor >= slowerBy && !r.ended(ctx) {
				factor = min(factor, r.factor(ctx, p))
			}
		}
		if factor >= slowerBy && !math.IsInf(factor, 1) {
			r.result.Slower = append(r.result.Slower, review.Slower{Path: r.recs[p.replayed[0]].Path, Factor: factor})
		}
	}
	slices.SortStableFunc(r.result.Slower, func(a, b review.Slower) int { return cmp.Compare(b.Factor, a.Factor) })
}

// factor is the median time of the candidate as a multiple of the base's; infinite if too few were timed.
func (r *run) factor(ctx context.Context, p *path) float64 {
	var base, candidate []time.Duration
	for _, i := range p.replayed[:min(len(p.replayed), maxTimed)] {
		if r.ended(ctx) {
			break
		}
		for _, side := range []struct {
			g     *engine.Generation
			times *[]time.Duration
		}{{r.base, &base}, {r.candidate, &candidate}} {
			*side.times = append(*side.times, r.timeOnce(ctx, side.g, i, p))
		}
		r.pace(ctx)
	}
	if len(base) < minTimed {
		return math.Inf(1)
	}
	return float64(median(candidate[1:])) / float64(max(1, median(base[1:]))) // the first call prepares what later ones find
}

// timeOnce is always by OPA's evaluator: a program that only one side has would be compared with it.
func (r *run) timeOnce(ctx context.Context, g *engine.Generation, record int, p *path) time.Duration {
	rec := &r.recs[record]
	input, err := inputOf(g, p.Path, rec.Input)
	if err != nil {
		return 0
	}
	input.Value() // reading the text is not what is compared
	begun := time.Now()
	r.again(ctx, g, rec, p, input, nil)
	return time.Since(begun)
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
