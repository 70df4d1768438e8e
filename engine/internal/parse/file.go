package parse

import (
	"path"
	"strings"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/jsonast"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// File is one file after parsing. Exactly one of Unit, Data and Wrong is set. It never changes, and later
// generations share it while the file's bytes are the same.
type File struct {
	Source *source.File
	Unit   *unit.Module    // of a module, tests included
	Data   ast.Object      // of a data file, without the folders that it lies in
	Wrong  diagnostic.List // why it does not parse

	atRoot bool // the data lies at the root, wherever the file does: see olderLayout

	strict *strict // of a module; see [File.Strict]

	json *jsonast.Document // of a JSON data file: the next version shares what did not change
}

// Path is the slash path relative to the policy directory.
func (p *File) Path() string { return p.Source.Path }

// Module is the syntax of a module: parsed again where it was not kept. Generations share it, and compilers
// copy it before they change it. It must not be called where Unit is nil.
func (p *File) Module() *ast.Module { return p.Unit.Syntax.Module() }

// Folders is the path under which the data of the file lies, nil at the root.
func (p *File) Folders() []string {
	dir := path.Dir(p.Source.Rel())
	if dir == "." || p.atRoot {
		return nil
	}
	return strings.Split(dir, "/")
}
