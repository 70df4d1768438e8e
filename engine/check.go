package engine

import (
	"context"
	"fmt"

	"defenseclaw/engine/internal/contain"
)

// A Check judges a candidate before the pointer moves. Its error refuses the candidate; the diagnostics of a
// *[Refused] are passed on. It must not change the candidate. previous is nil for the first one.
type Check struct {
	Name string
	Run  func(ctx context.Context, candidate, previous *Generation) error

	// FilesOnly leaves out what a [Trigger].Source gives: it has served, and refusing it could leave nothing to serve.
	FilesOnly bool
}

func (c Check) run(ctx context.Context, candidate, previous *Generation) (err error) {
	defer contain.Panic("check "+c.Name, &err)
	if err := c.Run(ctx, candidate, previous); err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}
