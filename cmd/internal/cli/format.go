package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"

	"github.com/aymanbagabas/go-udiff"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/urfave/cli/v2"
)

func fmtCommand() *cli.Command {
	return &cli.Command{
		Name:      "fmt",
		Usage:     "name the Rego files that are not as OPA's formatter would have them; changes none unless told to",
		ArgsUsage: "[FILE or DIR…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "check", Usage: "exit with 1 when a file is named"},
			&cli.BoolFlag{Name: "diff", Usage: "print what would change"},
			&cli.BoolFlag{Name: "write", Aliases: []string{"w"}, Usage: "change the files"},
		},
		Action:       formatFiles,
		OnUsageError: usageError,
	}
}

func formatFiles(c *cli.Context) error {
	roots := c.Args().Slice()
	if len(roots) == 0 {
		roots = []string{"."}
	}
	if c.Bool("write") && c.Bool("check") {
		return errors.New("--check and --write exclude one another: the one asks, the other acts")
	}
	unformatted, broken := 0, 0
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				if path != root && strings.HasPrefix(d.Name(), ".") {
					return fs.SkipDir
				}
				return nil
			}
			if filepath.Ext(path) != ".rego" || !d.Type().IsRegular() {
				return nil
			}
			changed, err := formatFile(c, path)
			var errs ast.Errors
			if errors.As(err, &errs) {
				broken++
				return nil
			}
			if changed {
				unformatted++
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	switch {
	case broken > 0:
		return fmt.Errorf("%d files do not parse", broken)
	case unformatted > 0 && c.Bool("check"):
		return fmt.Errorf("%d files are not formatted; policy fmt --write formats them", unformatted)
	}
	return nil
}

// formatFile names the file, or prints or writes what it should be, when that is not what it is.
func formatFile(c *cli.Context, path string) (changed bool, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	want, err := format.SourceWithOpts(path, text, format.Opts{
		RegoVersion: ast.RegoV1, ParserOptions: &ast.ParserOptions{RegoVersion: ast.RegoV1},
	})
	if err != nil {
		var errs ast.Errors
		if errors.As(err, &errs) {
			drawParseErrors(errs, text)
		}
		return false, err
	}
	if bytes.Equal(text, want) {
		return false, nil
	}
	if c.Bool("diff") {
		fmt.Fprint(c.App.Writer, udiff.Unified(path, path, string(text), string(want)))
	} else {
		fmt.Fprintln(c.App.Writer, path)
	}
	if c.Bool("write") {
		return true, replaceFile(path, want)
	}
	return true, nil
}

func drawParseErrors(errs ast.Errors, text []byte) {
	lines := strings.Split(string(text), "\n")
	var ds []api.Diagnostic
	for _, e := range errs {
		d := api.Diagnostic{Code: e.Code, Message: e.Message}
		if e.Location != nil {
			d.File, d.Line, d.Column = e.Location.File, e.Location.Row, e.Location.Col
			if d.Line > 0 && d.Line <= len(lines) {
				d.Text = lines[d.Line-1]
			}
		}
		ds = append(ds, d)
	}
	report.Write(os.Stderr, ds)
}

// replaceFile puts the new content in the old one's place in one step: a sidecar that watches sees
// the one or the other.
func replaceFile(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(path), ".fmt-*")
	if err != nil {
		return err
	}
	defer os.Remove(next.Name()) //nolint:errcheck // after the rename there is nothing to remove
	_, err = next.Write(text)
	err = errors.Join(err, next.Chmod(info.Mode().Perm()), next.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(next.Name(), path)
}
