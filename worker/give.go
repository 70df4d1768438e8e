package worker

import (
	"context"
	"fmt"
	"slices"

	"defenseclaw/engine"
	"defenseclaw/engine/source"
)

// hold waits until the process holds g. An error is that ctx ended or, as [errEnded], that the process did, or that
// it could not load g.
func (pr *process) hold(ctx context.Context, g *engine.Generation) error {
	pr.mu.Lock()
	l := pr.load(g)
	pr.mu.Unlock()
	select {
	case <-l.done:
		return l.err
	case <-pr.accounted:
		return errEnded
	case <-ctx.Done():
		return fmt.Errorf("%w: it still loads generation %d", errNotReady, g.Number())
	}
}

// load begins to give g to the process, unless that has begun before. mu is held.
func (pr *process) load(g *engine.Generation) *loading {
	for _, l := range pr.loads {
		if l.number == g.Number() {
			return l
		}
	}
	l := &loading{number: g.Number(), done: make(chan struct{})}
	if pr.gone {
		l.err = errEnded
		close(l.done)
		return l
	}
	pr.loads = append(pr.loads, l)
	if len(pr.loads) > held {
		pr.loads = slices.Delete(pr.loads, 0, 1)
	}
	pr.work.Go(func() {
		defer close(l.done)
		if l.err = pr.give(g); l.err != nil {
			pr.forget(g)
		}
	})
	return l
}

// forget has g loaded again the next time that it is needed.
func (pr *process) forget(g *engine.Generation) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.loads = slices.DeleteFunc(pr.loads, func(l *loading) bool { return l.number == g.Number() })
}

// give gives the process what g has and the generation before had not.
func (pr *process) give(g *engine.Generation) error {
	pr.giving.Lock()
	defer pr.giving.Unlock()
	load := Generation{Number: g.Number(), Revision: g.Revision()}
	var before []*source.File
	if pr.given != nil {
		before = pr.given.Files()
	}
	var files []File
	size := 0
	put := func() error {
		defer func() { files, size = nil, 0 }()
		return pr.client.Call(methodPut, files, new(bool))
	}
	var err error
	source.EachPair(before, g.Files(), func(f *source.File) string { return f.Path }, func(old, now *source.File) {
		switch {
		case err != nil || old == now:
		case now == nil:
			load.Removed = append(load.Removed, old.Path)
		case old == nil || !old.SameContent(now):
			files, size = append(files, File{now.Path, now.Bytes}), size+len(now.Bytes)
			if size >= maxPutBytes {
				err = put()
			}
		}
	})
	if err == nil && len(files) > 0 {
		err = put()
	}
	if err == nil {
		err = pr.client.Call(methodLoad, load, new(bool))
	}
	if err != nil {
		return fmt.Errorf("load generation %d in another process: %w", g.Number(), err)
	}
	pr.given = g
	return nil
}
