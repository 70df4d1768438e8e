package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"defenseclaw/cmd/internal/migrate"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

// Exit codes of migrate --check, besides those of every command.
const (
	exitUsage    = 2
	exitFindings = 4
)

func migrateCommand() *cli.Command {
	return &cli.Command{
		Name: "migrate",
		Usage: "tell what a start would find in a data directory of the original gateway; changes nothing. Exits with 0 if nothing needs attention, " +
			"4 if something does, 1 if it cannot be read",
		ArgsUsage: "[HOME]",
		Flags: append(settingFlags("policy-dir", "data-dir", "api-bind", "api-port"),
			&cli.BoolFlag{Name: "check", Usage: "only tell; nothing else can be asked for: a start takes everything over by itself"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		),
		Action:       migrateCheck,
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return &exitError{exitUsage, err} },
	}
}

func migrateCheck(c *cli.Context) error {
	switch {
	case c.NArg() > 1:
		return &exitError{exitUsage, fmt.Errorf("unexpected argument %q: one data directory was expected", c.Args().Get(1))}
	case !c.Bool("check"):
		return &exitError{exitUsage, errors.New("there is nothing to run before a start, which takes a data directory over by itself; " +
			"migrate --check tells what it would find")}
	}
	given, home := flagValues(c), c.Args().First()
	snapshot, wrong := reader(func(name string) (string, bool) {
		if name == "data-dir" && home != "" {
			return home, true
		}
		return given(name)
	}).Read()
	found, err := migrate.Check(c.Context, snapshot.Settings, wrong)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = report.JSON(c.App.Writer, found)
	} else {
		printMigration(c.App.Writer, found)
	}
	if err == nil && !found.Ready {
		return &exitError{code: exitFindings}
	}
	return err
}

// migrationTitles are what the kinds of findings are called, in their order.
var migrationTitles = []struct {
	kind  migrate.Kind
	title string
}{
	{migrate.Used, "Used as it is"},
	{migrate.Imported, "Imported by the first start"},
	{migrate.Ignored, "Ignored, and left as it is"},
	{migrate.Attention, "Needs your attention"},
}

func printMigration(w io.Writer, r migrate.Report) {
	terminal.Fprintf(w, "%s\n", r.Home)
	count := 0
	for _, t := range migrationTitles {
		of := slices.DeleteFunc(slices.Clone(r.Findings), func(f migrate.Finding) bool { return f.Kind != t.kind })
		if len(of) == 0 {
			continue
		}
		terminal.Fprintf(w, "\n%s\n", t.title)
		for _, f := range of {
			terminal.Fprintf(w, "  %-10s %s\n", f.About, f.Text)
			if f.Do != "" {
				terminal.Fprintf(w, "  %-10s → %s\n", "", f.Do)
			}
		}
		if t.kind == migrate.Attention {
			count = len(of)
		}
	}
	if r.Ready {
		terminal.Fprintf(w, "\nReady: nothing needs your attention.\n")
		return
	}
	terminal.Fprintf(w, "\nFindings that need your attention: %d.\n", count)
}
