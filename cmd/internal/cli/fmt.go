package cli

import (
	"errors"
	"fmt"
	"slices"

	"defenseclaw/cmd/internal/regofmt"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func fmtCommand() *cli.Command {
	return &cli.Command{
		Name:      "fmt",
		Usage:     "list the Rego files that OPA's formatter would change; changes them with --write only",
		ArgsUsage: "[FILE or DIR…, or - for standard input]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "check", Usage: "exit with 1 when a file is listed"},
			&cli.BoolFlag{Name: "diff", Usage: "print the changes, not only the names"},
			&cli.BoolFlag{Name: "write", Aliases: []string{"w"}, Usage: "change the files"},
			&cli.StringFlag{Name: "stdin-filename", Usage: "with -: what problems and --diff call standard input, as `NAME` (default: stdin.rego)"},
			regoDirFlag(),
		},
		Action:       formatFiles,
		OnUsageError: usageError,
	}
}

func formatFiles(c *cli.Context) error {
	roots, err := pathsHere(c)
	if err != nil {
		return err
	}
	if c.Bool("write") && c.Bool("check") {
		return errors.New("--check and --write cannot be combined")
	}
	if slices.Contains(roots, "-") || c.IsSet("stdin-filename") {
		return formatStdin(c, roots)
	}
	unformatted, broken := 0, 0
	err = regofmt.Walk(roots, func(f regofmt.File) error {
		switch {
		case len(f.Problems) > 0:
			broken++
			report.Write(c.App.ErrWriter, report.Placed(f.Problems, report.Here))
			return nil
		case !f.Changed():
			return nil
		}
		unformatted++
		if c.Bool("diff") {
			terminal.Fprintf(c.App.Writer, "%s", terminal.Diff(terminal.Text(f.Diff())))
		} else {
			terminal.Fprintf(c.App.Writer, "%s\n", f.Path)
		}
		if c.Bool("write") {
			return f.Write()
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case broken > 0:
		return fmt.Errorf("%s cannot be formatted", terminal.Count(broken, "file"))
	case unformatted > 0 && c.Bool("check"):
		return notFormatted(unformatted)
	}
	return nil
}

func notFormatted(files int) error {
	if files == 1 {
		return errors.New("1 file is not formatted; policy fmt --write formats it")
	}
	return fmt.Errorf("%d files are not formatted; policy fmt --write formats them", files)
}
