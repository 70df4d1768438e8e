package reviewer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"defenseclaw/worker/child"
)

// Names of what a process does in addition to steps.
const (
	doingLoad    = "load"
	doingRecords = "records"
)

// prepare sees that there is a process, and that it has what the step needs.
func (m *making) prepare(ctx context.Context, s Step) error {
	for m.away == nil {
		if err := m.acquire(ctx); err != nil {
			return err
		}
		doing, err := m.give(ctx, s)
		if err == nil {
			return nil
		}
		if !errors.Is(err, child.ErrGone) {
			return err
		}
		if blamed, err := m.lost(m.suspect(doing)); blamed {
			m.away = fmt.Errorf("%w, while it was given the %s", err, map[string]string{doingLoad: "policy", doingRecords: "records"}[doing])
		}
	}
	return m.away
}

// suspect is a step of this change. Other tests are another one, since it is they that run.
func (m *making) suspect(step string) suspect {
	candidate := m.work.Candidate.Revision()
	if step == Tests {
		candidate += " " + m.work.Tests.Revision()
	}
	return suspect{m.revision(), candidate, step}
}

// acquire waits for a process.
func (m *making) acquire(ctx context.Context) error {
	r := m.r
	started := false // a start was asked for
	for m.p == nil {
		r.mu.Lock()
		changed := r.changed
		switch {
		case r.stopped:
			m.away = errors.New("the sidecar stops")
		case r.process != nil:
			m.p, r.busy = r.process, true
		case started && !r.wanted:
			m.away = errors.New(r.failure)
		default:
			r.wanted, started = true, true
			r.broadcast()
			changed = r.changed
		}
		r.mu.Unlock()
		switch {
		case m.away != nil:
			return m.away
		case m.p != nil:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the reviewer has not started in time: %w", context.Cause(ctx))
		}
	}
	return nil
}

// give has the process hold the policies and, for a step that needs them, the records. It returns what was being given.
func (m *making) give(ctx context.Context, s Step) (doing string, err error) {
	doing = doingLoad
	who := m.suspect(doing)
	if ends, _ := m.r.suspects.Ends(who); ends >= child.MaxEnds {
		return doing, fmt.Errorf("loading it has ended the reviewer %d times", ends)
	}
	if m.work.Base != nil {
		if m.order.Base, err = m.hold(ctx, m.work.Base, "", 0, who); err != nil {
			return doing, err
		}
	}
	if m.order.Candidate, err = m.hold(ctx, m.work.Candidate, "", m.order.Base, who); err != nil {
		return doing, err
	}
	if s.Name == Tests {
		if m.order.TestsBefore, err = m.hold(ctx, m.work.TestsBefore, kindTests, 0, who); err == nil {
			m.order.Tests, err = m.hold(ctx, m.work.Tests, kindTests, m.order.TestsBefore, who)
		}
		return doing, err
	}
	if m.withRecords {
		return doing, nil
	}
	doing = doingRecords
	if err := m.giveRecords(ctx); err != nil {
		return doing, err
	}
	m.withRecords = true
	return doing, nil
}

// hold gives the process content unless it has it or there is none, and returns its number there. It is loaded from
// what the process holds as from, if it is not 0, so that the two share what they have in common.
func (m *making) hold(ctx context.Context, content child.Content, kind string, from uint64, who suspect) (uint64, error) {
	p := m.p
	if len(content.Files()) == 0 {
		return 0, nil
	}
	for _, have := range p.given {
		if have.kind == kind && have.Revision() == content.Revision() {
			return have.id, nil
		}
	}
	p.lastID++
	gift := child.Gift{Kind: kind, ID: p.lastID, Begin: func() { m.r.begin(p, who) }}
	for _, have := range p.given {
		if have.kind == kind && (gift.From == nil || have.id == from) {
			gift.From, gift.FromID = have.Content, have.id
		}
	}
	kept := slices.DeleteFunc(slices.Clone(p.given), func(have given) bool { return !m.needs(have) })
	for _, have := range kept {
		gift.Keep = append(gift.Keep, have.id)
	}
	if err := p.Give(ctx, content, gift); err != nil {
		return 0, m.explain(ctx, err)
	}
	m.r.done(p, who)
	p.given = append(kept, given{gift.ID, kind, content})
	return gift.ID, nil
}

// needs reports whether this review is about what was given. The rest makes room.
func (m *making) needs(have given) bool {
	all := []child.Content{m.work.Candidate}
	if m.work.Base != nil {
		all = append(all, m.work.Base)
	}
	if have.kind == kindTests {
		all = []child.Content{m.work.Tests, m.work.TestsBefore}
	}
	return slices.ContainsFunc(all, func(c child.Content) bool { return c.Revision() == have.Revision() })
}
