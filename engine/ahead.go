package engine

import (
	"context"

	"defenseclaw/engine/internal/eval"
)

// maxQueuedHotPaths bounds the paths that wait for a second tier. When the queue is full, a path keeps its
// first tier.
const maxQueuedHotPaths = 64

// hotPaths makes second tiers for paths that are asked for often: one at a time, for the generation that
// serves, while decisions go on.
type hotPaths struct {
	queue   chan hotPath
	current func() *Generation
	ahead   func(context.Context, *eval.Evaluator, eval.Path) error // makes one
}

type hotPath struct {
	evaluator *eval.Evaluator
	path      eval.Path
}

func newHotPaths(current func() *Generation) *hotPaths {
	return &hotPaths{queue: make(chan hotPath, maxQueuedHotPaths), current: current, ahead: makeAhead}
}

func makeAhead(ctx context.Context, e *eval.Evaluator, path eval.Path) error {
	return e.Ahead(ctx, path)
}

func (h *hotPaths) add(e *eval.Evaluator, path eval.Path) {
	select {
	case h.queue <- hotPath{e, path}:
	default:
	}
}

// run makes second tiers until ctx ends.
func (h *hotPaths) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case hot := <-h.queue:
			if g := h.current(); g != nil && g.evaluator == hot.evaluator {
				_ = h.ahead(ctx, hot.evaluator, hot.path) // without it decisions are made as before
			}
		}
	}
}
