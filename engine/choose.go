package engine

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/source"
)

// Proposal is what an attempt on the engine's own source came to, before it has an effect.
type Proposal struct {
	Trigger   Trigger
	StartedAt time.Time   // of the attempt
	Serving   *Generation // nil when none does
	Candidate *Generation // nil when it was refused; Serving itself when the source holds just that
	Refused   *Refused    // nil when there is a candidate
	Verdict   Verdict     // of [Config].Review; zero where that was not asked
}

// mayServe asks [Config].Govern about an attempt. A policy of an earlier run is restored because nothing else serves, so
// there is nothing to ask.
func (e *Engine) mayServe(report *Report, candidate *Generation, verdict Verdict) bool {
	if e.cfg.Govern == nil || report.Trigger.Source != nil {
		return true
	}
	return e.cfg.Govern(Proposal{
		Trigger: report.Trigger, StartedAt: report.StartedAt, Serving: report.Previous, Candidate: candidate, Refused: report.Refused, Verdict: verdict,
	})
}

// choice asks the loop to run choose and to serve what it returns.
type choice struct {
	trigger Trigger
	choose  func() (*Generation, error)
	reply   chan chosen // holds one: the loop never waits for a caller that went away
}

type chosen struct {
	report Report
	err    error
}

// Choose runs choose in the loop of [Engine.Run], between two attempts, and has the generation that it returns serve
// under a new number: one that was held, a former one, or one of [Engine.Prepare]. Nothing is read. If choose returns
// nil or what serves, or fails, nothing moves, and its error is returned as it is. So what it decides by cannot change
// before the pointer moves. It must be quick. Safe for concurrent use. Blocks until [Engine.Run] runs.
func (e *Engine) Choose(ctx context.Context, trigger Trigger, choose func() (*Generation, error)) (Report, error) {
	trigger.Kind = TriggerControl
	c := choice{trigger: trigger, choose: choose, reply: make(chan chosen, 1)}
	select {
	case e.choices <- c:
	case <-ctx.Done():
		return Report{}, fmt.Errorf("wait for the engine: %w", context.Cause(ctx))
	case <-e.stopped:
		return Report{}, ErrStopped
	}
	select { // not for ctx: what was chosen serves in a moment, and the caller has to know
	case done := <-c.reply:
		return done.report, done.err
	case <-e.stopped:
		return Report{}, ErrStopped
	}
}

// serveChosen is one choice, in the loop.
func (e *Engine) serveChosen(ctx context.Context, c choice) {
	report := Report{Trigger: c.trigger, Result: Unchanged, StartedAt: time.Now(), Previous: e.Current(), Ignored: e.ignored}
	next, err := c.run()
	switch {
	case err != nil:
		c.reply <- chosen{report, err}
		return
	case next != nil && next != report.Previous:
		e.swap(&report, e.again(next))
		e.missing = nil // it was about the files of what served
		if report.Previous != nil {
			report.Loss = lossOf(report.Previous, report.Generation, e.asked.all())
		}
	}
	report.Generation, report.Duration = e.Current(), time.Since(report.StartedAt)
	if report.Result == Success {
		e.conclude(ctx, &report)
	}
	c.reply <- chosen{report: report}
}

func (c choice) run() (_ *Generation, err error) {
	defer contain.Panic("choose what serves", &err)
	return c.choose()
}

// again is a generation that serves from now on, under the next number: numbers tell which of two served later.
func (e *Engine) again(g *Generation) *Generation {
	next, previous := *g, e.Current()
	var before *source.Reading
	if previous != nil {
		next.number, before = previous.number+1, previous.reading
	}
	next.loadedAt, next.changed = time.Now(), g.reading.ChangedSince(before)
	if next.evaluator == nil {
		next.evaluator = eval.New(g.policy, g.data, e.evalConfig())
	}
	return &next
}

// Prepare loads a source as a generation that [Engine.Choose] may serve, and has no other effect. It is what serves
// itself if the source holds just that. An error is as that of [Load]. Safe for concurrent use.
func (e *Engine) Prepare(ctx context.Context, src fs.FS) (*Generation, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	previous := e.Current()
	if previous != nil { // decisions go on meanwhile
		ctx = turns.With(ctx)
	}
	l := e.asideLoader(Trigger{Source: src}, previous)
	l.check = e.cfg.Verify
	g, err := l.load(ctx, src, previous)
	if err != nil {
		return nil, asRefused(err, e.cfg.Timeout)
	}
	return g, nil
}

// A Former is a generation that served before, without what was made for its decisions.
type Former struct {
	Revision   string
	ServedFrom time.Time
	Until      time.Time
	Generation *Generation // only for [Engine.Choose]: it answers no decision before

	bytes int64 // of the files that the generation after it has not
}

// The bounds of what formers holds. A generation shares with its successor all that the edit between them left alone, so
// those of small edits are nearly free; the text of a file stands for several times as much memory.
const (
	maxFormers     = 8
	maxFormerBytes = 4 << 20
)

// Formers are the generations that served last and were cheap to keep, the newest first. What serves is not among them.
// Not to be changed. Safe for concurrent use.
func (e *Engine) Formers() []Former {
	if kept := e.formers.Load(); kept != nil {
		return *kept
	}
	return nil
}

// keepFormer puts what served before next at the head of the list, and drops what is too many or too large. The sum is an
// upper bound: what one of them alone holds is counted where it went away.
func (e *Engine) keepFormer(previous, next *Generation) {
	if previous == nil {
		return
	}
	former := *previous
	former.evaluator = nil // its plans and programs are the larger part
	kept := []Former{{Revision: previous.revision, ServedFrom: previous.loadedAt, Until: time.Now(), Generation: &former}}
	for _, path := range next.changed.All {
		if f := previous.reading.Find(path); f != nil {
			kept[0].bytes += int64(len(f.Bytes))
		}
	}
	sum := kept[0].bytes
	for _, older := range e.Formers() {
		if sum += older.bytes; len(kept) == maxFormers || sum > maxFormerBytes {
			break
		}
		kept = append(kept, older)
	}
	if kept[0].bytes > maxFormerBytes {
		kept = nil
	}
	e.formers.Store(&kept)
}
