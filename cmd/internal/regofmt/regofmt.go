// Package regofmt formats the Rego files of a directory with OPA's formatter. Most callers need [Walk].
package regofmt

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/diagnostic"

	"github.com/aymanbagabas/go-udiff"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

// File is a Rego file and its formatted text.
type File struct {
	Path      string
	Text      []byte
	Formatted []byte          // nil when there are Problems
	Problems  diagnostic.List // why it cannot be read, parsed or formatted
}

// Walk calls visit for each Rego file of roots, files and directories. It follows a symbolic link that is a
// root, and no other; directories whose names begin with a dot are skipped. It stops at the first error: of
// visit, or of a root that cannot be opened. Below a root, what cannot be read is a file with a problem.
func Walk(roots []string, visit func(File) error) error {
	for _, root := range roots {
		info, err := os.Stat(root)
		if err != nil {
			return err
		}
		if info.IsDir() {
			err = walkDir(root, visit)
		} else if isRego(root, info.Mode()) {
			err = visit(read(root))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func walkDir(root string, visit func(File) error) error {
	root += string(filepath.Separator) + "." // what a link leads to, not the link
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == root:
			return err
		case err != nil:
			return visit(File{Path: path, Problems: unreadable(path, err)})
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !isRego(path, d.Type()):
			return nil
		}
		return visit(read(path))
	})
}

func isRego(path string, mode fs.FileMode) bool {
	return filepath.Ext(path) == ".rego" && mode.IsRegular()
}

func read(path string) File {
	text, err := os.ReadFile(path)
	if err != nil {
		return File{Path: path, Problems: unreadable(path, err)}
	}
	return Source(path, text)
}

// Source formats a text that need not be in a file; path is what its problems name.
func Source(path string, text []byte) File {
	f := File{Path: path, Text: text}
	var err error
	f.Formatted, err = format.SourceWithOpts(path, text, format.Opts{
		RegoVersion: ast.RegoV1, ParserOptions: &ast.ParserOptions{RegoVersion: ast.RegoV1},
	})
	var errs ast.Errors
	if one := new(ast.Error); errors.As(err, &one) { // of an empty file
		errs = ast.Errors{one}
	} else if err != nil && !errors.As(err, &errs) {
		errs = ast.Errors{ast.NewError(ast.FormatErr, ast.NewLocation(nil, path, 1, 1), "%s", err)}
	}
	if len(errs) > 0 {
		f.Formatted, f.Problems = nil, diagnostic.FromOPA(errs, func(string) []byte { return text })
	}
	return f
}

func unreadable(path string, err error) diagnostic.List {
	return diagnostic.List{{File: path, Code: diagnostic.CodeFileUnreadable, Message: err.Error()}}
}

// Changed reports whether formatting changes the file. A file with problems is not changed.
func (f File) Changed() bool { return len(f.Problems) == 0 && !bytes.Equal(f.Text, f.Formatted) }

// Diff returns the change as a unified diff. Names of files have no line breaks in it.
func (f File) Diff() string {
	name := string(terminal.Line(f.Path))
	return udiff.Unified(name, name, string(f.Text), string(f.Formatted))
}

// Write replaces the file by its formatted text, atomically: a sidecar that watches the directory reads
// either the old text or the new one. A symbolic link stays one, and leads to the new text.
// google/renameio would do the same, but has no build for Windows.
func (f File) Write() error {
	path, err := filepath.EvalSymlinks(f.Path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(path), ".fmt-*")
	if err != nil {
		return err
	}
	defer os.Remove(next.Name()) //nolint:errcheck // it is gone after the rename
	_, err = next.Write(f.Formatted)
	err = errors.Join(err, next.Chmod(info.Mode().Perm()), next.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	return os.Rename(next.Name(), path)
}
