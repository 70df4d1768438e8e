package reviewer

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"slices"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/worker/child"
)

// patience bounds a review whose context has no deadline: one that nobody waits for.
const patience = time.Minute

// Review has the steps made that are asked for, within the deadline of ctx or, without one, a minute. When ctx is
// cancelled it returns at once. What is not made is named in Incomplete. base is nil for the first policy: then there are
// tests alone.
func (r *Reviewer) Review(ctx context.Context, base, candidate *engine.Generation, ask Ask) review.Evidence {
	m := &making{r: r, asked: ask.Steps, work: Work{
		Base: base, Candidate: candidate, Change: ask.Change, Tests: ask.Tests, TestsBefore: ask.TestsBefore,
		Records: ask.Records, ProbeTime: ask.ProbeTime, TestsTime: ask.TestsTime,
	}}
	if m.work.ProbeTime == 0 {
		m.work.ProbeTime = time.Second
	}
	if m.work.TestsTime == 0 {
		m.work.TestsTime = 2 * time.Second //nolint:mnd // the default
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	m.began = time.Now()
	review.InStep(ctx, Waiting)
	select {
	case r.turn <- struct{}{}:
		m.work.FailedLast = slices.Concat(ask.FailedLast, r.failedLast)
		defer func() {
			if t := m.evidence.Tests; t != nil {
				r.failedLast = nil
				for _, f := range t.Failed {
					r.failedLast = append(r.failedLast, f.Name)
				}
			}
			<-r.turn
		}()
	case <-ctx.Done():
	}
	defer m.leave()
	for _, step := range r.cfg.Steps {
		if slices.Contains(ask.Steps, step.Name) && (base != nil || step.Name == Tests) {
			if err := m.step(ctx, step); err != nil {
				m.evidence.Incomplete = append(m.evidence.Incomplete, step.Name+": "+err.Error())
			}
		}
	}
	return m.evidence
}

// lookEvery is how often the process is asked how far it is, if somebody wants to know.
const lookEvery = 200 * time.Millisecond

// making is one review under way.
type making struct {
	r        *Reviewer
	work     Work
	asked    []string // names of steps
	began    time.Time
	evidence review.Evidence

	p           *process // nil: none was needed yet, or it has ended
	order       Order    // numbers of what it was given
	withRecords bool     // it has the records of this review
	away        error    // why there is no process; nil: one can be had
}

// leave gives the process back.
func (m *making) leave() {
	if m.p == nil {
		return
	}
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	m.r.busy, m.r.used = false, time.Now()
}

// step makes one step, here or in the process. An error says why there is no such part.
func (m *making) step(ctx context.Context, s Step) error {
	if err := m.over(ctx); err != nil {
		return err
	}
	ctx = review.InStep(ctx, s.Name)
	if s.Small != nil && s.Small(&m.work, m.r.cfg.Off) {
		return m.here(ctx, s)
	}
	if m.r.cfg.Off {
		return errors.New("it takes the reviewer, which is off")
	}
	for {
		who := m.suspect(s.Name)
		if ends, until := m.r.suspects.Ends(who); ends >= child.MaxEnds {
			return fmt.Errorf("it has ended the reviewer %d times, and is not made until %s", ends, until.UTC().Format(time.RFC3339))
		}
		if err := m.prepare(ctx, s); err != nil {
			return err
		}
		err := m.ask(ctx, s, who)
		if !errors.Is(err, child.ErrGone) {
			return err
		}
		if blamed, err := m.lost(who); blamed {
			return err
		}
	}
}

func (m *making) revision() string {
	if m.work.Base == nil {
		return ""
	}
	return m.work.Base.Revision()
}

// over is why nothing more can be made; nil if something can.
func (m *making) over(ctx context.Context) error {
	switch {
	case ctx.Err() == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("the time was over before it began (%s)", time.Since(m.began).Round(time.Millisecond))
	default:
		return fmt.Errorf("the review was dropped: %w", context.Cause(ctx))
	}
}

// hereShare is the part of a processor that a step in the serving process may take, so that decisions do not wait.
const hereShare = 0.25

// here makes a step in this process, with room for others.
func (m *making) here(ctx context.Context, s Step) error {
	w := m.work
	w.Share = hereShare
	return s.make(ctx, &w, &m.evidence)
}

// lost accounts for the end of the process, and reports whether who was the cause.
func (m *making) lost(who suspect) (blamed bool, why error) {
	p := m.p
	<-p.accounted
	m.leave()
	m.p, m.order, m.withRecords = nil, Order{}, false
	return p.culprit == who, errors.New(p.reason)
}

// ask has the process make a step.
func (m *making) ask(ctx context.Context, s Step, who suspect) error {
	answer, p, o := new(Answer), m.p, m.order // the call may begin after it was given up here
	if told := review.ProgressOf(ctx); told != nil {
		done := make(chan struct{})
		defer close(done)
		child.Watch(p.Process, lookEvery, done, methodNow, func(now review.Progress) {
			if now.Step == s.Name { // else it has not begun, or is over
				told(now)
			}
		})
	}
	o.Step, o.ProbeTime, o.TestsTime, o.FailedLast = s.Name, m.work.ProbeTime, m.work.TestsTime, m.work.FailedLast
	err := p.Call(ctx, methodStep, func(call uint64) any {
		m.r.begin(p, who)
		o.Call, o.Time = call, m.timeFor(ctx, s)
		return o
	}, answer)
	if err != nil {
		return m.explain(ctx, err)
	}
	m.r.done(p, who)
	if answer.Failure != "" {
		return errors.New(answer.Failure)
	}
	m.evidence = with(m.evidence, answer.Evidence)
	return nil
}

// with is all with the parts of one.
func with(all, one review.Evidence) review.Evidence {
	if one.Tests != nil {
		all.Tests = one.Tests
	}
	if one.Replay != nil {
		all.Replay = one.Replay
	}
	if one.Probe != nil {
		all.Probe = one.Probe
	}
	if one.Coverage != nil {
		all.Coverage = one.Coverage
	}
	all.Incomplete = append(all.Incomplete, one.Incomplete...)
	return all
}

// timeFor leaves the process a little less time than there is, so that what it has until then arrives; and a replay the
// less, where a probe follows.
func (m *making) timeFor(ctx context.Context, s Step) time.Duration {
	const share, most, half = 10, 200 * time.Millisecond, 2
	deadline, _ := ctx.Deadline() // there is one: see Review
	left := time.Until(deadline)
	left -= min(left/share, most)
	if s.Name == Replay && slices.Contains(m.asked, Probe) {
		left -= min(left/half, m.work.ProbeTime)
	}
	return left
}

// explain says what an error of a call means. [child.ErrGone] stays as it is.
func (m *making) explain(ctx context.Context, err error) error {
	server := rpc.ServerError("")
	switch {
	case errors.Is(err, child.ErrGone):
		return err
	case errors.As(err, &server):
		return fmt.Errorf("the reviewer: %w", err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("the reviewer did not answer in time (%s)", time.Since(m.began).Round(time.Millisecond))
	default:
		return fmt.Errorf("the review was dropped: %w", err)
	}
}

// begin notes what a process is busy with; done, that it has answered.
func (r *Reviewer) begin(p *process, who suspect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.doing = who
}

func (r *Reviewer) done(p *process, who suspect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.doing, p.useful = suspect{}, true
	r.suspects.Clear(who)
}
