package engine

import (
	"context"
	"fmt"
)

// Ping waits until the loop of [Engine.Run] takes notice, which is between two attempts, and changes
// nothing. An error means that ctx ended before, or is [ErrStopped]. Safe for concurrent use.
func (e *Engine) Ping(ctx context.Context) error {
	select {
	case e.pings <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the engine: %w", context.Cause(ctx))
	case <-e.stopped:
		return ErrStopped
	}
}
