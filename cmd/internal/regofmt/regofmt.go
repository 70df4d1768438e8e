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

	"defenseclaw/engine/diagnostic"

	"github.com/aymanbagabas/go-udiff"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

// File is a Rego file and its formatted text.
type File struct {
	Path      string
	Text      []byte
	Formatted []byte          // nil when the file does not parse
	Problems  diagnostic.List // why it does not parse
}

// Walk calls visit for each Rego file of roots, files and directories. Directories whose names begin with a
// dot are skipped. It stops at the first error.
func Walk(roots []string, visit func(File) error) error {
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
				return fs.SkipDir
			case filepath.Ext(path) != ".rego" || !d.Type().IsRegular():
				return nil
			}
			f, err := read(path)
			if err != nil {
				return err
			}
			return visit(f)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func read(path string) (File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return File{}, err
	}
	f := File{Path: path, Text: text}
	f.Formatted, err = format.SourceWithOpts(path, text, format.Opts{
		RegoVersion: ast.RegoV1, ParserOptions: &ast.ParserOptions{RegoVersion: ast.RegoV1},
	})
	var errs ast.Errors
	if errors.As(err, &errs) {
		f.Problems = diagnostic.FromOPA(errs, func(string) []byte { return text })
		return f, nil
	}
	return f, err
}

// Changed reports whether formatting changes the file. A file that does not parse is not changed.
func (f File) Changed() bool { return len(f.Problems) == 0 && !bytes.Equal(f.Text, f.Formatted) }

// Diff returns the change as a unified diff.
func (f File) Diff() string {
	return udiff.Unified(f.Path, f.Path, string(f.Text), string(f.Formatted))
}

// Write replaces the file by its formatted text, atomically: a sidecar that watches the directory reads
// either the old text or the new one. google/renameio would do the same, but has no build for Windows.
func (f File) Write() error {
	info, err := os.Stat(f.Path)
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(f.Path), ".fmt-*")
	if err != nil {
		return err
	}
	defer os.Remove(next.Name()) //nolint:errcheck // it is gone after the rename
	_, err = next.Write(f.Formatted)
	err = errors.Join(err, next.Chmod(info.Mode().Perm()), next.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	return os.Rename(next.Name(), f.Path)
}
