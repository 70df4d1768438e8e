package reviewer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"defenseclaw/engine"
	"defenseclaw/engine/review/records"
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

func (m *making) suspect(step string) suspect {
	return suspect{m.revision(), m.work.Candidate.Revision(), step}
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
		if m.base, err = m.hold(ctx, m.work.Base, who); err != nil {
			return doing, err
		}
	}
	if m.candidate, err = m.hold(ctx, m.work.Candidate, who); err != nil {
		return doing, err
	}
	if s.Name == Tests || m.withRecords {
		return doing, nil
	}
	doing = doingRecords
	if err := m.giveRecords(ctx); err != nil {
		return doing, err
	}
	m.withRecords = true
	return doing, nil
}

// hold gives the process g unless it has it, and returns its number there.
func (m *making) hold(ctx context.Context, g *engine.Generation, who suspect) (uint64, error) {
	p := m.p
	for _, have := range p.given {
		if have.g == g || have.g.Revision() == g.Revision() {
			return have.id, nil
		}
	}
	p.lastID++
	gift := child.Gift{ID: p.lastID, Begin: func() { m.r.begin(p, who) }}
	// The candidate is loaded from the base, so that the two share what they have in common. Nothing else is kept.
	for _, have := range p.given {
		if gift.From == nil || have.id == m.base {
			gift.From, gift.FromID = have.g, have.id
		}
	}
	kept := slices.DeleteFunc(slices.Clone(p.given), func(have given) bool { return !m.needs(have.g) })
	for _, have := range kept {
		gift.Keep = append(gift.Keep, have.id)
	}
	if err := p.Give(ctx, g, gift); err != nil {
		return 0, m.explain(ctx, err)
	}
	m.r.done(p, who)
	p.given = append(kept, given{gift.ID, g})
	return gift.ID, nil
}

// needs reports whether g is one of the two that this review is about.
func (m *making) needs(g *engine.Generation) bool {
	return m.work.Base != nil && g.Revision() == m.work.Base.Revision() || g.Revision() == m.work.Candidate.Revision()
}

// giveRecords gives the process the records, by parts: making one of them holds up nothing for long.
func (m *making) giveRecords(ctx context.Context) error {
	who, begin := m.suspect(doingRecords), true
	for part := range slices.Chunk(m.work.Records, batchSize) {
		if err := m.giveBatch(ctx, who, Batch{begin, part}); err != nil {
			return err
		}
		begin = false
		runtime.Gosched()
	}
	if begin {
		return m.giveBatch(ctx, who, Batch{Begin: true, Records: []records.Record{}})
	}
	return nil
}

func (m *making) giveBatch(ctx context.Context, who suspect, b Batch) error {
	err := m.p.Call(ctx, methodRecords, func(uint64) any {
		m.r.begin(m.p, who)
		return b
	}, new(bool))
	if err != nil {
		return m.explain(ctx, err)
	}
	m.r.done(m.p, who)
	return nil
}
