// Package parse turns the files of a reading into modules and data. A file whose bytes are unchanged is not
// parsed again, and every error of every file is collected.
package parse

import (
	"context"
	"runtime"
	"sync"

	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	"golang.org/x/sync/errgroup"
)

// All parses the files of reading on all processors, and returns them in their order. Files with the bytes
// that they had in the reading was are taken from before, which are the parsed files of was; both may be nil.
//
// fresh are the modules that were parsed now. A [File] holds its module weakly, so the caller keeps fresh
// until the modules are compiled; otherwise they may be parsed twice. The error is ctx's, or a crash that
// was contained: what is wrong with a file is in its Wrong.
func All(ctx context.Context, reading, was *source.Reading, before []*File) (all []*File, fresh []*ast.Module, _ error) {
	all = make([]*File, 0, len(reading.Files())) // never grows: goroutines write into it
	var mu sync.Mutex                            // of fresh
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	var old []*source.File
	if was != nil {
		old = was.Files()
	}
	path := func(f *source.File) string { return f.Path }
	source.EachPair(old, reading.Files(), path, func(old, now *source.File) {
		var earlier *File
		if old != nil {
			earlier, before = before[0], before[1:]
		}
		if now == nil {
			return
		}
		all = append(all, earlier)
		if old != nil && old.SameContent(now) {
			return
		}
		at := &all[len(all)-1]
		group.Go(func() (err error) {
			defer contain.Panic("parse "+now.Path, &err)
			if err := turns.Next(ctx); err != nil {
				return err
			}
			p, module := parseOne(now, earlier)
			*at = p
			if module != nil {
				mu.Lock()
				fresh = append(fresh, module)
				mu.Unlock()
			}
			return nil
		})
	})
	if err := group.Wait(); err != nil {
		return all, fresh, err
	}
	olderLayout(reading.Root(), all)
	return all, fresh, nil
}

// parseOne parses a file. before is the same file of the generation before, nil when it is new.
func parseOne(file *source.File, before *File) (*File, *ast.Module) {
	switch file.Kind() {
	case source.KindModule, source.KindTest:
		return parseModule(file)
	default:
		return parseData(file, before), nil
	}
}
