package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"defenseclaw/cmd/internal/regofmt"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

// formatStdin is policy fmt -: the formatted text goes to standard output, for editors.
func formatStdin(c *cli.Context, roots []string) error {
	switch {
	case len(roots) != 1 || roots[0] != "-":
		return errors.New("- is standard input, and the only argument: policy fmt - --stdin-filename p.rego")
	case c.Bool("write"):
		return errors.New("--write changes files: standard input is none, and its formatted text goes to standard output")
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	name := c.String("stdin-filename")
	if name == "" {
		name = "stdin.rego"
	}
	f := regofmt.Source(name, text)
	if len(f.Problems) > 0 {
		report.Write(c.App.ErrWriter, f.Problems)
		return errors.New("standard input cannot be formatted")
	}
	switch {
	case c.Bool("diff") && f.Changed():
		terminal.Fprintf(c.App.Writer, "%s", terminal.Diff(terminal.Text(f.Diff())))
	case !c.Bool("diff") && !c.Bool("check"):
		return exactly(c.App.Writer, f.Formatted)
	}
	if c.Bool("check") && f.Changed() {
		return fmt.Errorf("%s is not formatted", name)
	}
	return nil
}

// exactly writes text to a file or another program as it is, and to a terminal without what that acts on.
func exactly(w io.Writer, text []byte) error {
	if t, ok := w.(*terminal.Writer); ok {
		return t.Exact(text)
	}
	_, err := w.Write(text)
	return err
}
