package engine

import (
	"context"
	"fmt"

	"defenseclaw/engine/internal/contain"
)

// A Check judges a candidate before the pointer moves, and may refuse it by an error. It must not
// change the candidate. A *[Refused] is passed on as it is. previous is nil for the first one.
type Check struct {
	Name string
	Run  func(ctx context.Context, candidate, previous *Generation) error
}

func (c Check) run(ctx context.Context, candidate, previous *Generation) (err error) {
	defer contain.Panic("check "+c.Name, &err)
	if err := c.Run(ctx, candidate, previous); err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}
