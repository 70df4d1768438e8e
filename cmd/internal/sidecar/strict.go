package sidecar

import (
	"context"

	"defenseclaw/engine"

	"go.uber.org/zap"
)

// strictness looks for what nothing uses in the modules that serve, as OPA's strict mode does: behind the change, so that it
// delays neither a start nor an edit.
type strictness struct {
	logger *zap.Logger
	next   chan *engine.Generation // to look at: has room for one
	told   map[string]bool         // by the last look; owned by run
}

func newStrictness(logger *zap.Logger) *strictness {
	return &strictness{logger: logger, next: make(chan *engine.Generation, 1)}
}

// offer replaces what waits to be looked at, and never blocks. Nil is nothing to look at.
func (s *strictness) offer(g *engine.Generation) {
	if g == nil {
		return
	}
	select {
	case <-s.next:
	default:
	}
	select {
	case s.next <- g:
	default: // another announcement, which was late, has put in its own: the next change brings the newest
	}
}

// run looks at each generation that is offered, or at the newest of them, until ctx ends.
func (s *strictness) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case g := <-s.next:
			s.look(ctx, g)
		}
	}
}

// maxUnusedTold is how many findings one line of the log names.
const maxUnusedTold = 10

// look logs what it finds and did not find in the generation before.
func (s *strictness) look(ctx context.Context, g *engine.Generation) {
	found, err := g.Strict(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.logger.Error("the policy could not be searched for what nothing uses", zap.Error(err))
		return
	}
	now := make(map[string]bool, len(found))
	var fresh []string
	for _, d := range found {
		text := d.String()
		now[text] = true
		if !s.told[text] {
			fresh = append(fresh, text)
		}
	}
	s.told = now
	if len(fresh) > 0 {
		shown := fresh[:min(len(fresh), maxUnusedTold)]
		s.logger.Warn("nothing uses parts of the policy", zap.Uint64("generation", g.Number()),
			zap.Strings("found", shown), zap.Int("more", len(fresh)-len(shown)))
	}
}
