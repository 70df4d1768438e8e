package engine

import (
	"context"
	"io/fs"

	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Draft is the files of a source, parsed one by one and not compiled. It serves to say more about a source that
// [Load] refused; no decision is made by it.
type Draft struct {
	reading  *source.Reading
	parsed   []*parse.File
	data     ast.Object
	complete bool
}

// LoadDraft reads and parses a source. An error is a *[Refused] that says what could not be read, or
// ctx's when it ended; that a file does not parse is no error.
func LoadDraft(ctx context.Context, src fs.FS) (_ *Draft, err error) {
	defer contain.Panic("read the policy", &err)
	reading, err := read(ctx, src, source.Options{})
	if err != nil {
		return nil, err
	}
	s, err := parseNext(ctx, reading, nil)
	if err != nil {
		return nil, err
	}
	d := &Draft{reading: reading, parsed: s.parsed, data: s.data.Root(), complete: len(s.conflicts) == 0}
	for _, p := range s.parsed {
		if p.Source.Kind() != source.KindModule && len(p.Wrong) > 0 {
			d.complete = false
		}
	}
	return d, nil
}

// Root is as [Generation.Root].
func (d *Draft) Root() string { return d.reading.Root() }

// Files are as [Generation.Files].
func (d *Draft) Files() []*source.File { return d.reading.Files() }

// Data is as [Generation.Data], without the data of files that do not parse and the values on which two files
// differ: see [Draft.DataComplete].
func (d *Draft) Data() ast.Object { return d.data }

// DataComplete reports whether every data file is sound, alone and with the others.
func (d *Draft) DataComplete() bool { return d.complete }

// HasPackage is as [Generation.HasPackage]. For a module that does not parse, the first line that looks like a
// package clause counts.
func (d *Draft) HasPackage(path Path) bool {
	want := path.ref()
	for _, p := range d.parsed {
		switch {
		case p.Unit != nil && p.Unit.Path.Equal(want):
			return true
		case p.Unit == nil && p.Source.Kind() == source.KindModule && p.GuessPackage().Equal(want):
			return true
		}
	}
	return false
}
