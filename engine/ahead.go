package engine

import (
	"context"

	"defenseclaw/engine/internal/eval"
)

// maxQueuedHotPaths bounds the paths that wait for a second tier. When the queue is full, a path keeps its
// first tier.
const maxQueuedHotPaths = 64

// hotPaths makes programs and second tiers for paths that are asked for often: one at a time, for the generation that
// serves, while decisions go on.
type hotPaths struct {
	queue   chan hotPath
	current func() *Generation
	ahead   func(context.Context, *eval.Evaluator, eval.Path) error // makes one
}

// hotPath is a path that is asked for often or, if before is set, all of those of the generation before.
type hotPath struct {
	evaluator *eval.Evaluator
	path      eval.Path
	before    *eval.Evaluator
}

func newHotPaths(current func() *Generation) *hotPaths {
	return &hotPaths{queue: make(chan hotPath, maxQueuedHotPaths), current: current, ahead: makeAhead}
}

// makeAhead makes a program, and a second tier for a path that is asked for more often still: the faster of the two
// decides.
func makeAhead(ctx context.Context, e *eval.Evaluator, path eval.Path) error {
	err := e.Compile(ctx, path)
	if e.Hot(path) {
		err = e.Ahead(ctx, path)
	}
	return err
}

func (h *hotPaths) add(e *eval.Evaluator, path eval.Path) { h.offer(hotPath{evaluator: e, path: path}) }

// succeed has the programs of a generation made anew for the one after it.
func (h *hotPaths) succeed(before, now *Generation) {
	if before != nil && before.evaluator != now.evaluator {
		h.offer(hotPath{evaluator: now.evaluator, before: before.evaluator})
	}
}

func (h *hotPaths) offer(hot hotPath) {
	select {
	case h.queue <- hot:
	default:
	}
}

// run makes programs and second tiers until ctx ends.
func (h *hotPaths) run(ctx context.Context) {
	// In a storm of edits generations come and go before their programs are made. Those of the last that had them are
	// what the next one begins with.
	var last *eval.Evaluator
	for {
		select {
		case <-ctx.Done():
			return
		case hot := <-h.queue:
			serves := func() bool {
				g := h.current()
				return g != nil && g.evaluator == hot.evaluator
			}
			if last == nil {
				last = hot.before
			}
			switch {
			case !serves():
			case hot.before != nil:
				hot.evaluator.TakeOver(ctx, last, serves)
				last = hot.evaluator
			default:
				_ = h.ahead(ctx, hot.evaluator, hot.path) // without it decisions are made as before
			}
		}
	}
}
