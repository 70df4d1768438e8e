package engine

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/source"
)

// DryRun does what a reload for the trigger would do up to the swap, checks included, and changes nothing: neither what
// serves nor the status nor what is announced, and later reloads do not hear of it. The candidate is what serves if the
// source holds just that. It does not wait for files that are missing: they count as gone. With a [Trigger].Source, that is
// loaded instead of the engine's own. An error is a *[Refused], or ctx's when it ended. Safe for concurrent use; one runs at
// a time, and the others wait.
func (e *Engine) DryRun(ctx context.Context, trigger Trigger) (candidate, base *Generation, err error) {
	err = e.aside(ctx, func(ctx context.Context) error {
		base = e.Current()
		l := e.asideLoader(trigger, base)
		l.check = e.cfg.Verify
		candidate, err = e.loadAndCheck(ctx, trigger, l, base)
		return err
	})
	return candidate, base, err
}

// LoadAside loads a source, or the engine's own if it is nil, with the limits of the engine and without its checks, and
// changes nothing. What serves is shared with it; without a difference, the result is what serves. Errors, concurrency
// and missing files are as with [Engine.DryRun].
func (e *Engine) LoadAside(ctx context.Context, src fs.FS) (g *Generation, err error) {
	err = e.asideOf(ctx, src, func(ctx context.Context, src fs.FS) error {
		current := e.Current()
		g, err = e.asideLoader(Trigger{Kind: TriggerAPI}, current).load(ctx, src, current)
		return err
	})
	return g, err
}

// ReadAside reads a source, or the engine's own if it is nil, with its tests, and neither parses nor changes anything: so it
// gives the text of what does not load, too. A file of what serves whose stat is the same is not opened again. Errors and
// concurrency are as with [Engine.DryRun].
func (e *Engine) ReadAside(ctx context.Context, src fs.FS) (reading *source.Reading, err error) {
	err = e.asideOf(ctx, src, func(ctx context.Context, src fs.FS) error {
		options := source.Options{Limits: e.cfg.Limits, Tests: true}
		if current := e.Current(); current != nil {
			options.Earlier = source.Earlier{Reading: current.reading, Previous: current.reading}
		}
		reading, err = read(ctx, src, options)
		return err
	})
	return reading, err
}

// asideOf is aside for a source, or the engine's own if it is nil.
func (e *Engine) asideOf(ctx context.Context, src fs.FS, do func(context.Context, fs.FS) error) error {
	return e.aside(ctx, func(ctx context.Context) error {
		if src == nil {
			var err error
			if src, err = e.cfg.Source(); err != nil {
				return &Refused{Stage: StageRead, Err: err}
			}
			if closer, ok := src.(io.Closer); ok {
				defer closer.Close() //nolint:errcheck // it was only read
			}
		}
		return do(ctx, src)
	})
}

// aside bounds what is loaded besides attempts: each load may take as much memory as what serves.
func (e *Engine) aside(ctx context.Context, load func(context.Context) error) error {
	select {
	case e.asideSlot <- struct{}{}:
		defer func() { <-e.asideSlot }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another dry run or comparison: %w", context.Cause(ctx))
	}
	bounded, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	if e.Current() != nil { // decisions go on meanwhile
		bounded = turns.With(bounded)
	}
	if err := load(bounded); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("load the policy: %w", context.Cause(ctx))
		}
		return asRefused(err, e.cfg.Timeout)
	}
	return nil
}

// asideLoader shares nothing with attempts but what never changes: the state of [Engine.Run] is its own.
func (e *Engine) asideLoader(trigger Trigger, current *Generation) *loader {
	return &loader{
		options: e.options(trigger, current),
		eval:    e.evalConfig(), elsewhere: e.elsewhere(),
	}
}
