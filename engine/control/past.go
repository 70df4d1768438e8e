package control

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"defenseclaw/engine/history"
)

// ErrNotKept is wrapped where the history has no such policy.
var ErrNotKept = errors.New("the history keeps no such policy")

// pasts lists what can be opened, the newest first.
func (g *Governor) pasts() ([]history.Record, error) {
	all, err := g.cfg.History.Records()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r history.Record) bool { return !r.Kept }), nil
}

// find returns what a number or the beginning of a revision names.
func (g *Governor) find(ref string) (history.Record, error) {
	r, err := g.cfg.History.Find(ref)
	var several *history.AmbiguousError
	switch {
	case errors.Is(err, history.ErrNotFound), errors.As(err, &several):
		return r, fmt.Errorf("%w: %w", ErrNotKept, err)
	case err != nil:
		return r, err
	case !r.Kept:
		return r, fmt.Errorf("%w: generation %d of the history: %w", ErrNotKept, r.Seq, history.ErrSwept)
	}
	return r, nil
}

// keepNeeded has the entries on disk that a restart needs, before the caller of an order has his answer.
func (g *Governor) keepNeeded(ctx context.Context) error { return g.keep(ctx, g.Protected()) }

// keep has the entries of these revisions on disk.
func (g *Governor) keep(ctx context.Context, needed []string) error {
	if len(needed) == 0 {
		return nil
	}
	if g.cfg.Noted != nil {
		if err := g.cfg.Noted(ctx); err != nil {
			return fmt.Errorf("wait for the history: %w", err)
		}
	}
	all, err := g.pasts()
	if err != nil {
		return err
	}
	var failed []error
	for _, revision := range needed {
		if revision == "" {
			continue
		}
		i := slices.IndexFunc(all, func(r history.Record) bool { return r.Revision == revision })
		if i < 0 {
			failed = append(failed, fmt.Errorf("%w: %s", ErrNotKept, revision))
		} else if err := g.cfg.History.SaveNow(ctx, all[i]); err != nil {
			failed = append(failed, fmt.Errorf("keep generation %d: %w", all[i].Seq, err))
		}
	}
	return errors.Join(failed...)
}
