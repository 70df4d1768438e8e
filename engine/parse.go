package engine

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/jsonast"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	"golang.org/x/sync/errgroup"
)

// parsed is one file after parsing: exactly one of unit, data and wrong is set.
type parsed struct {
	file  *source.File
	unit  *unit.Module // of a module
	data  ast.Object
	json  *jsonast.Document // of a JSON data file, for the next one to share what did not change
	wrong diagnostic.List
}

// module is shared between generations; compilers copy it before they change it.
func (p *parsed) module() *ast.Module { return p.unit.Syntax.Module() }

func (p *parsed) path() string { return p.file.Path }

// parseAll parses every file, those that previous has with the same bytes for free, on all
// processors. The result is in file order; while fresh is held, no module of it is parsed again. previous may be nil.
func parseAll(ctx context.Context, reading *source.Reading, previous *Generation) (all []*parsed, fresh []*ast.Module, _ error) {
	all = make([]*parsed, 0, len(reading.Files()))
	var mu sync.Mutex // of fresh
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	var was []*source.File
	var left []*parsed // of the files of was that are yet to come
	if previous != nil {
		was, left = previous.reading.Files(), previous.parsed
	}
	path := func(f *source.File) string { return f.Path }
	source.EachPair(was, reading.Files(), path, func(old, now *source.File) {
		var before *parsed
		if old != nil {
			before, left = left[0], left[1:]
		}
		if now == nil {
			return
		}
		all = append(all, before)
		if old != nil && old.SameContent(now) {
			return
		}
		at := &all[len(all)-1]
		group.Go(func() (err error) {
			defer contain.Panic("parse "+now.Path, &err)
			if err := turns.Next(ctx); err != nil {
				return err
			}
			p, module := parse(now, before)
			*at = p
			if module != nil {
				mu.Lock()
				fresh = append(fresh, module)
				mu.Unlock()
			}
			return nil
		})
	})
	err := group.Wait()
	return all, fresh, err
}

// parse parses a file; before is what the same file was in the last generation, nil when it is new.
func parse(file *source.File, before *parsed) (*parsed, *ast.Module) {
	switch file.Kind() {
	case source.KindModule, source.KindTest:
		return parseModule(file)
	default:
		return parseData(file, before), nil
	}
}

func parseModule(file *source.File) (*parsed, *ast.Module) {
	module, err := dialect.Parse(file.Path, file.Bytes)
	if err == nil && module != nil {
		again := func() *ast.Module {
			module, _ := dialect.Parse(file.Path, file.Bytes) // as well as before: the bytes are the same
			return module
		}
		return &parsed{file: file, unit: unit.Scan(module, again)}, module
	}
	var errs ast.Errors
	var one *ast.Error
	switch {
	case errors.As(err, &errs):
	case errors.As(err, &one) && !isEmptyModule(file):
		errs = ast.Errors{one}
	default:
		errs = ast.Errors{ast.NewError(ast.ParseErr, ast.NewLocation(nil, file.Path, 1, 1), "the module is empty; a package declaration was expected")}
	}
	return &parsed{file: file, wrong: diagnostic.FromOPA(errs, func(string) []byte { return file.Bytes })}, nil
}

// isEmptyModule reports whether nothing but comments is in the file.
func isEmptyModule(file *source.File) bool {
	for line := range bytes.Lines(file.Bytes) {
		if line = trimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// looksCutShort reports whether the file's content could be the first part of a good one: that is
// how a file looks while an editor is still writing it.
func (p *parsed) looksCutShort() bool {
	text := trimSpace(p.file.Bytes)
	if len(text) == 0 {
		return true
	}
	endLine, endColumn := diagnostic.Position(text, int64(len(text)))
	for _, d := range p.wrong {
		atEnd := d.Line > endLine || d.Line == endLine && d.Column >= endColumn
		if atEnd || strings.Contains(d.Message, "eof") || strings.Contains(d.Message, "non-terminated") {
			return true
		}
	}
	return false
}
