package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

// Target says what a rollback goes back to.
type Target struct {
	To      string        // number or beginning of a revision of the history; empty: what served before
	Skip    bool          // follow the files again when they hold anything else than what is taken back
	Confirm time.Duration // take the rollback back unless it is confirmed within it; 0: it need not be
}

// Done is what a rollback did.
type Done struct {
	Revision string // that serves now
	Seq      uint64 // of it in the history; 0 where it is not known
	Report   engine.Report
}

// DamagedError says that a policy of the history cannot serve.
type DamagedError struct {
	File string
	Err  error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the kept policy %s cannot serve: %s", e.File, e.Err)
}

// Unwrap returns the reason.
func (e *DamagedError) Unwrap() error { return e.Err }

// errOvertaken says that another policy serves than when the rollback chose where to go.
var errOvertaken = errors.New("another policy serves meanwhile")

// Rollback has an earlier policy serve, and pins it. The error wraps [ErrNotKept] or is a [*DamagedError].
func (g *Governor) Rollback(ctx context.Context, by Order, t Target) (Done, error) {
	for {
		done, err := g.rollback(ctx, by, t)
		if !errors.Is(err, errOvertaken) || ctx.Err() != nil {
			return done, err
		}
	}
}

func (g *Governor) rollback(ctx context.Context, by Order, t Target) (Done, error) {
	from := revisionOf(g.engine.Current())
	to, err := g.target(from, t.To)
	if err != nil {
		return Done{}, err
	}
	back, err := g.prepare(ctx, to.Revision)
	if err != nil {
		return Done{}, err
	}
	report, _, err := g.carryOut(ctx, by, RolledBack, func(now Record, serving *engine.Generation, at time.Time) (Record, *engine.Generation, error) {
		if revisionOf(serving) != from {
			return now, nil, errOvertaken
		}
		if back.Revision() == from {
			back = serving
		}
		return now.rollback(by, at, from, back.Revision(), t.Skip, t.Confirm), back, nil
	})
	return Done{Revision: back.Revision(), Seq: to.Seq, Report: report}, err
}

// target is where a rollback goes. What was taken back already is not what served before: a second rollback goes one
// further back.
func (g *Governor) target(serving, to string) (history.Record, error) {
	if to != "" {
		return g.find(to)
	}
	now := g.Status()
	if now.Confirming != nil {
		return g.known(now.Confirming.Base), nil
	}
	for _, f := range g.engine.Formers() {
		if f.Revision != serving && !now.refuses(f.Revision) {
			return g.known(f.Revision), nil
		}
	}
	all, err := g.pasts()
	if err != nil {
		return history.Record{}, err
	}
	for _, p := range all {
		if p.Revision != serving && !now.refuses(p.Revision) {
			return p, nil
		}
	}
	return history.Record{}, fmt.Errorf("%w: nothing else served before", ErrNotKept)
}

// known is what the history tells of a revision, whether or not it is kept.
func (g *Governor) known(revision string) history.Record {
	all, _ := g.cfg.History.Records() // without it the answer has no number
	for _, r := range all {
		if r.Revision == revision {
			return r
		}
	}
	return history.Record{Revision: revision}
}

// prepare returns a generation of a revision: one that is in memory, else that of its entry.
func (g *Governor) prepare(ctx context.Context, revision string) (*engine.Generation, error) {
	if serving := g.engine.Current(); serving != nil && serving.Revision() == revision {
		return serving, nil
	}
	for _, f := range g.engine.Formers() {
		if f.Revision == revision {
			return f.Generation, nil
		}
	}
	g.mu.Lock()
	base := g.base
	g.mu.Unlock()
	if base != nil && base.Revision() == revision {
		return base, nil
	}
	return g.load(ctx, revision)
}

// load makes a generation of the newest sound entry of a revision.
func (g *Governor) load(ctx context.Context, revision string) (*engine.Generation, error) {
	all, err := g.pasts()
	if err != nil {
		return nil, err
	}
	err = fmt.Errorf("%w: %s", ErrNotKept, revision)
	for _, p := range all {
		if p.Revision != revision {
			continue
		}
		found, openErr := g.cfg.History.Open(ctx, p)
		if openErr == nil {
			var loaded *engine.Generation
			if loaded, openErr = g.engine.Prepare(ctx, found.FS); openErr == nil {
				return loaded, nil
			}
		}
		err = &DamagedError{p.File, openErr}
	}
	return nil, err
}
