package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// answer is that of one generation to a record.
type answer struct {
	text    []byte // JSON; nil: undefined, or failed
	failed  error
	chance  bool // a builtin gave a result that the record does not know
	timeout bool
}

// recorded is the answer that the record has.
func recorded(rec *records.Record) answer {
	a := answer{text: rec.Result}
	if rec.Error != "" {
		a = answer{failed: errors.New(rec.Error)}
	}
	return a
}

// same compares as callers do, who get JSON: sets are arrays, and numbers are equal however they are written.
func (a *answer) same(b *answer) bool {
	switch {
	case a.failed != nil || b.failed != nil:
		return a.failed != nil && b.failed != nil
	case a.text == nil || b.text == nil:
		return a.text == nil && b.text == nil
	case bytes.Equal(a.text, b.text):
		return true
	}
	x, err1 := engine.ParseJSON(a.text)
	y, err2 := engine.ParseJSON(b.text)
	return err1 == nil && err2 == nil && x.Compare(y) == 0
}

// replay makes one record again.
func (r *run) replay(ctx context.Context, i int) {
	rec, p := &r.recs[i], r.paths[r.recs[i].Path]
	if p.records >= worthAProgram && !p.varies && p.replayed == nil {
		_ = r.candidate.MakeProgram(ctx, p.Path) // without it the decision is made all the same
	}
	was, older := r.baseline(i)
	now := r.evaluate(ctx, r.candidate, rec, p)
	if ctx.Err() != nil {
		return // this record was cut short
	}
	p.replayed = append(p.replayed, i)
	stratum := r.strata[rec.Stratum()]
	stratum.tried++
	if now.timeout {
		r.result.NotReplayable[Timeout]++
		return
	}
	before, reason := was, ""
	if r.base == nil {
		reason = unlikeRecord(rec, &now, now.same(&was))
	} else if rec.Masked || older || !now.same(&was) {
		before = r.evaluate(ctx, r.base, rec, p)
		if ctx.Err() != nil {
			return
		}
		reason = notReplayable(rec, p, &before, before.same(&was) || older && !before.chance && !rec.Masked, r.base)
	}
	flips := !now.same(&before)
	if reason == "" && flips && now.chance {
		reason = Nondeterministic
	}
	if reason != "" {
		r.result.NotReplayable[reason]++
		return
	}
	r.replayed(i, stratum, &now, flips)
	if flips {
		f := flip{record: i, before: before, after: now, kind: review.KindOf(r.outcome(ctx, rec, &before), r.outcome(ctx, rec, &now))}
		r.flips = append(r.flips, f)
		r.result.Flips[f.kind]++
	}
}

// baseline is the answer that a record has of the base, or, where older says so, of another policy: what changed since then
// is no flip of this change.
func (r *run) baseline(i int) (was answer, older bool) {
	rec := &r.recs[i]
	was = recorded(rec)
	if r.base == nil || !strings.HasPrefix(rec.Revision, "sha256:") || rec.Revision == r.base.Revision() {
		return was, false
	}
	if r.Baseline != nil && !rec.Masked {
		if a, known := r.Baseline(i); known && a.Failure != "" {
			return answer{failed: errors.New(a.Failure)}, false
		} else if known {
			return answer{text: a.Result}, false
		}
	}
	return was, true
}

// unlikeRecord says why a record that the candidate answers otherwise is no flip, where there is no base; empty: it is one.
func unlikeRecord(rec *records.Record, now *answer, same bool) string {
	switch {
	case same:
		return ""
	case rec.Masked:
		return Masked
	case now.chance:
		return Nondeterministic
	default:
		return ""
	}
}

func (r *run) replayed(i int, s *stratum, now *answer, flips bool) {
	weight := weightOf(&r.recs[i])
	r.result.Replayed++
	s.replayed++
	s.done += weight
	s.sq += weight * weight
	if flips {
		s.flips += weight
	}
	if r.OnAnswer != nil && !now.chance {
		a := Answer{Result: now.text}
		if now.failed != nil {
			a = Answer{Failure: now.failed.Error()}
		}
		r.OnAnswer(i, a)
	}
}

func (r *run) outcome(ctx context.Context, rec *records.Record, a *answer) review.Outcome {
	return r.outcomes.Of(ctx, rec.Path, a.text, a.failed != nil)
}

// notReplayable says why the base does not speak for the record; empty: it does, and comparable says so.
func notReplayable(rec *records.Record, p *path, before *answer, comparable bool, base *engine.Generation) string {
	switch {
	case before.timeout:
		return Timeout
	case comparable:
		return ""
	case rec.Masked:
		return Masked
	case !base.CouldDefine(p.Path):
		return Gone
	case before.failed != nil:
		return Failed
	default:
		return Nondeterministic
	}
}

// chanceBuiltins have another result each time. Those of the other builtins that are not deterministic follow from the time.
var chanceBuiltins = []string{ast.RandIntn.Name, ast.UUIDRFC4122.Name, ast.JWTEncodeSign.Name, ast.JWTEncodeSignRaw.Name}

// evaluate makes the decision of a record by one generation.
func (r *run) evaluate(ctx context.Context, g *engine.Generation, rec *records.Record, p *path) (a answer) {
	input, err := inputOf(g, p.Path, rec.Input)
	if err != nil {
		return answer{failed: err}
	}
	if traced := g == r.candidate && r.unseen.wants(); traced || p.varies {
		var tracer topdown.QueryTracer
		if traced {
			tracer = r.unseen
		}
		a = r.again(ctx, g, rec, p, input, tracer)
	} else {
		decide := g.AppendDecisionLenient
		if rec.Strict {
			decide = g.AppendDecision
		}
		text, defined, err := decide(ctx, nil, p.Path, input)
		if a.failed = err; defined && err == nil {
			a.text = text
		}
	}
	a.timeout = errors.Is(a.failed, engine.ErrDecisionTimeout)
	// OPA's own records of decisions that were strict do not say so.
	if a.failed == nil && rec.Error != "" && !rec.Strict {
		strict := *rec
		strict.Strict = true
		return r.evaluate(ctx, g, &strict, p)
	}
	return a
}

func inputOf(g *engine.Generation, p engine.Path, text json.RawMessage) (*engine.Input, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // a nil input is none
	}
	return g.ReadInput(p, text)
}

// again evaluates with the circumstances of the record.
func (r *run) again(
	ctx context.Context, g *engine.Generation, rec *records.Record, p *path, input *engine.Input, tracer topdown.QueryTracer,
) (a answer) {
	known := rec.Known()
	before := chances(known)
	value, err := g.Again(ctx, p.Path, input, engine.Circumstances{
		Time: rec.Time, ND: known, Lenient: !rec.Strict, Tracer: tracer, EveryClause: tracer != nil,
	})
	a.chance = chances(known) > before || rec.Time.IsZero() && known[ast.NowNanos.Name] != nil
	if a.failed = err; err == nil && value != nil {
		a.text, a.failed = g.AppendJSON(nil, value)
	}
	return a
}

func chances(known builtins.NDBCache) (n int) {
	for _, name := range chanceBuiltins {
		if results := known[name]; results != nil {
			n += results.Len()
		}
	}
	return n
}

// exampleOf is a flip as it is shown.
func (r *run) exampleOf(f *flip) review.Flip {
	rec := &r.recs[f.record]
	shown := review.Flip{
		Path: rec.Path, Kind: f.kind, Input: rec.Input, Before: slices.Clone(f.before.text), After: slices.Clone(f.after.text),
		DecisionID: rec.DecisionID, Time: rec.Time,
	}
	if f.before.failed != nil {
		shown.BeforeError = f.before.failed.Error()
	}
	if f.after.failed != nil {
		shown.AfterError = f.after.failed.Error()
	}
	return shown
}
