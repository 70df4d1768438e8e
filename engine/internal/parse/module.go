package parse

import (
	"bytes"
	"errors"
	"regexp"
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
		return &File{Source: file, Unit: unit.Scan(module, again), strict: &strict{}}, module
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

// IsBrokenModule reports whether the file is a module, or a test, that does not parse.
func (p *File) IsBrokenModule() bool {
	return p.Wrong != nil && (p.Source.Kind() == source.KindModule || p.Source.Kind() == source.KindTest)
}

var (
	packageLine = regexp.MustCompile(`(?m)^[ \t]*(package[ \t]+[^\s#;]+)`)
	ruleLine    = regexp.MustCompile(`(?m)^[ \t]*(?:default[ \t]+)?([A-Za-z_]\w*)[ \t]*(?:[(\[.{]|:?=|if\b|contains\b|\r?$)`)
)

// GuessPackage is the path of the first line that looks like a package clause; nil if there is none. It is for files
// that do not parse.
func (p *File) GuessPackage() ast.Ref {
	m := packageLine.FindSubmatch(p.Source.Bytes)
	if m == nil {
		return nil
	}
	pkg, err := ast.ParsePackage(string(m[1]))
	if err != nil {
		return nil
	}
	return pkg.Path
}

// MayDefine returns the package of a file that does not parse, nil if it cannot be told, and the names that begin
// a line as a rule does: what the file may define once it parses.
func (p *File) MayDefine() (pkg ast.Ref, names map[string]bool) {
	names = map[string]bool{}
	for _, m := range ruleLine.FindAllSubmatch(p.Source.Bytes, -1) {
		names[string(m[1])] = true
	}
	return p.GuessPackage(), names
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
