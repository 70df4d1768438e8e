package parse

import (
	"bytes"
	"errors"
	"strings"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

func parseModule(file *source.File) (*File, *ast.Module) {
	module, err := dialect.Parse(file.Path, file.Bytes)
	if err == nil && module != nil {
		again := func() *ast.Module {
			module, _ := dialect.Parse(file.Path, file.Bytes) // the same bytes parsed before, so they parse now
			return module
		}
		return &File{Source: file, Unit: unit.Scan(module, again)}, module
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
	return &File{Source: file, Wrong: diagnostic.FromOPA(errs, func(string) []byte { return file.Bytes })}, nil
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

// LooksCutShort reports whether the file could be the first part of a sound one, as while an editor is still
// writing it: it is empty, or an error is at its end.
func (p *File) LooksCutShort() bool {
	text := trimSpace(p.Source.Bytes)
	if len(text) == 0 {
		return true
	}
	endLine, endColumn := diagnostic.Position(text, int64(len(text)))
	for _, d := range p.Wrong {
		atEnd := d.Line > endLine || d.Line == endLine && d.Column >= endColumn
		if atEnd || strings.Contains(d.Message, "eof") || strings.Contains(d.Message, "non-terminated") {
			return true
		}
	}
	return false
}
