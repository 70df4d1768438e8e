package dev

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

// RunBoth runs loop and serve together. When one of them ends, the context of the other is cancelled; RunBoth
// returns when both have ended.
func RunBoth(ctx context.Context, loop, serve func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group errgroup.Group
	group.Go(func() error {
		defer cancel()
		return serve(ctx)
	})
	err := loop(ctx)
	cancel()
	return errors.Join(err, group.Wait())
}
