package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"defenseclaw/api"
	"defenseclaw/engine/history"
)

// Kept returns a policy of the history by its number or the beginning of its revision. An error wraps [api.ErrNoSide] if
// there is none, or it is not kept any more.
func Kept(ctx context.Context, store *history.Store, name string) (fs.FS, error) {
	record, err := store.Find(name)
	if err != nil {
		return nil, noSide(err)
	}
	found, err := store.Open(ctx, record)
	if err != nil {
		return nil, noSide(err)
	}
	return found.FS, nil
}

func noSide(err error) error {
	if errors.Is(err, history.ErrNotFound) || errors.Is(err, history.ErrSwept) {
		return fmt.Errorf("%w: %w", api.ErrNoSide, err)
	}
	return err
}

// kept is what the API is given; nil where nothing is kept.
func (s *Sidecar) kept() func(context.Context, string) (fs.FS, error) {
	if s.history == nil {
		return nil
	}
	return func(ctx context.Context, name string) (fs.FS, error) { return Kept(ctx, s.history, name) }
}
