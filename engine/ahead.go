package engine

import (
	"context"

	"defenseclaw/engine/internal/eval"
)

// maxQueuedHotPaths bounds the paths that wait for a program. When the queue is full, a path stays with OPA's evaluator.
const maxQueuedHotPaths = 64

// hotPaths makes programs for paths that are asked for often: one at a time, for the generation that
// serves, while decisions go on.
type hotPaths struct {
	queue   chan hotPath
	current func() *Generation
}

// hotPath is a path that is asked for often or, if before is set, all of those of the generation before.
type hotPath struct {
	evaluator *eval.Evaluator
	path      eval.Path
	before    *eval.Evaluator
}

func newHotPaths(current func() *Generation) *hotPaths {
	return &hotPaths{queue: make(chan hotPath, maxQueuedHotPaths), current: current}
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

// run makes programs until ctx ends.
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
				_ = hot.evaluator.Compile(ctx, hot.path) // without it decisions are made as before
			}
		}
	}
}
