// Package replay makes recorded decisions again with a candidate, and says which of them it answers otherwise.
//
// Only records that the change can reach are looked at. The candidate evaluates with the time of the record and with the
// results that it has of builtins that are not deterministic; where that gives another answer, the base evaluates too.
// If it gives the recorded one, the decision flips; if not, something else than the policy made the difference, and the
// record is counted as not replayable. No evaluation takes a slot of those for decisions, is logged or is counted.
package replay

import (
	"context"
	"errors"
	"math"
	"runtime"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"
)

// The reasons for which a record is not replayed: the keys of [review.Replay].NotReplayable.
const (
	Masked           = "masked"           // it was masked, and the base answers what is left of it otherwise
	Failed           = "error"            // the base fails where the record has an answer
	Timeout          = "timeout"          // an evaluation took longer than Options.Timeout
	Gone             = "gone"             // the base has nothing at the path
	Nondeterministic = "nondeterministic" // chance or something outside decided: the base does not give the recorded answer
)

// DefaultTimeout is the default of [Options].Timeout.
const DefaultTimeout = 200 * time.Millisecond

// Options say how to replay. The zero value replays everything, as fast as it can.
type Options struct {
	Review  *review.Review // of the two generations; nil: it is made
	Timeout time.Duration  // of one evaluation; 0: DefaultTimeout
	Budget  time.Duration  // for all of it, by the clock; 0: as long as the context. What is cut is said in the result

	// Share is the part of one processor that the replay may take, from 0 to 1: it waits between records. 0: all of it.
	Share float64

	// OnAnswer is told the candidate's answer to each record that was replayed, by its index, unless chance decided: what
	// Baseline answers once the candidate serves. nil: nothing is called.
	OnAnswer func(record int, a Answer)
	// Baseline is what the base answered to a record in an earlier replay: what other policies answered before it is not
	// evaluated again. It is not asked about records that were masked. nil: nothing is known.
	Baseline func(record int) (_ Answer, known bool)
}

// Answer is what a generation answers to a record.
type Answer struct {
	Result  []byte // JSON; nil: undefined, or Failure
	Failure string // instead of a result
}

// Run replays. Without a base, which is nil then, the recorded answers speak for it: every record counts as reached, and
// of a flip only the clause of the candidate is known that gave the answer. A context that ends, or a budget that is used up, is no error: the result says how
// much was done. It tells the progress of ctx how many records are done. The error is that there is no candidate. Neither generation is changed. Run uses one
// goroutine; several may run at the same time.
func Run(
	ctx context.Context, base, candidate *engine.Generation, recs []records.Record, o Options,
) (*review.Replay, error) {
	if candidate == nil {
		return nil, errors.New("replay: there is no policy to replay with")
	}
	r := newRun(base, candidate, recs, o)
	order, told := r.order(), review.ProgressOf(ctx)
	for done, i := range order {
		if r.over(ctx) {
			break
		}
		if told != nil {
			told(review.Progress{Done: done, Total: len(order)})
		}
		r.replay(ctx, i)
		r.pace(ctx)
	}
	r.timeSlower(ctx)
	r.group(ctx)
	r.summarise()
	return r.result, nil
}

// run is one replay.
type run struct {
	Options
	review          *review.Review     // nil without a base
	base, candidate *engine.Generation // base may be nil
	recs            []records.Record

	begun time.Time
	work  pacer

	paths    map[string]*path
	strata   map[string]*stratum
	outcomes *review.Outcomes
	unseen   *unseen
	flips    []flip
	result   *review.Replay
}

// flip is a record that flips, with both answers.
type flip struct {
	record        int
	kind          review.FlipKind
	before, after answer
}

func newRun(base, candidate *engine.Generation, recs []records.Record, o Options) *run {
	r := &run{
		Options: o, review: o.Review, recs: recs, begun: time.Now(),
		paths: map[string]*path{}, strata: map[string]*stratum{},
		result: &review.Replay{Records: len(recs), NotReplayable: map[string]int{}, Flips: map[review.FlipKind]int{}},
	}
	if r.Timeout == 0 {
		r.Timeout = DefaultTimeout
	}
	r.candidate = candidate.Alone(r.Timeout)
	if base == nil {
		r.review, r.outcomes = nil, review.NewOutcomes(candidate)
	} else {
		if r.review == nil {
			r.review = review.Of(base, candidate)
		}
		r.base, r.outcomes = base.Alone(r.Timeout), review.NewOutcomes(base)
	}
	r.unseen = newUnseen(r.review, r.candidate)
	r.work.share = o.Share
	return r
}

// forGrouping is the part of a budget that the records leave to what follows them.
const forGrouping = 4

// over reports whether no further record may be begun.
func (r *run) over(ctx context.Context) bool {
	return ctx.Err() != nil || r.Budget > 0 && time.Since(r.begun) > r.Budget-r.Budget/forGrouping
}

// ended reports whether nothing more may be done at all.
func (r *run) ended(ctx context.Context) bool {
	return ctx.Err() != nil || r.Budget > 0 && time.Since(r.begun) > r.Budget
}

// pace waits as long as the share of a processor asks for.
func (r *run) pace(ctx context.Context) {
	if r.work.share > 0 && r.work.share < 1 {
		r.work.wait(ctx)
	}
}

// pacer bounds the part of a processor that a goroutine takes.
type pacer struct {
	share float64
	since time.Time // the current stretch of work began
}

// stretch is about the time of some decisions. A shorter one would be spent waking up.
const stretch = 500 * time.Microsecond

func (p *pacer) wait(ctx context.Context) {
	runtime.Gosched() // whoever waits for this processor comes first
	now := time.Now()
	if p.since.IsZero() {
		p.since = now
	}
	worked := now.Sub(p.since)
	if worked < stretch {
		return
	}
	timer := time.NewTimer(time.Duration(float64(worked) * (1/p.share - 1)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	p.since = time.Now()
}

// summarise fills in what follows from the strata.
func (r *run) summarise() {
	res := r.result
	var all float64
	for i := range r.recs {
		all += weightOf(&r.recs[i])
	}
	res.Share.Of = uint64(math.Round(all))
	var e estimate
	for _, s := range r.strata {
		e.add(s)
	}
	res.Share.Flips, res.Share.Low, res.Share.High = e.share(all - e.unknown)
	res.Strata = len(r.strata)
	cut := false
	for _, s := range r.strata {
		if s.replayed > 0 {
			res.StrataReplayed++
		}
		cut = cut || s.tried == 0
	}
	switch {
	case res.Replayed == res.Reached:
		res.Confidence = review.ConfidenceExact
	case !cut:
		res.Confidence = review.ConfidenceSampled
	default:
		res.Confidence = review.ConfidencePartial
	}
	res.Unseen = r.unseen.left()
}

func weightOf(rec *records.Record) float64 {
	if rec.Weight > 0 {
		return rec.Weight
	}
	return 1
}
