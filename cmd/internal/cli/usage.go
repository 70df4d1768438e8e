package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/settings"

	"github.com/urfave/cli/v2"
)

// codeOf is the exit code of an error. Commands that have codes of their own say so in their errors.
func codeOf(err error) int {
	own, unreachable := new(exitError), new(api.UnreachableError)
	switch {
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &unreachable) && unreachable.TimedOut > 0:
		return exitTime
	case errors.As(err, &unreachable):
		return exitUnreachable
	default:
		return exitFailure
	}
}

// asFailure is for the commands whose exit code has always been 1 when nothing answers: scripts know it.
func asFailure(err error) error {
	if codeOf(err) == exitUnreachable || codeOf(err) == exitTime {
		return &exitError{exitFailure, err}
	}
	return err
}

// usageError is what is wrong with the flags that were typed. A flag that is not there is answered with the nearest one.
func usageError(c *cli.Context, err error, _ bool) error {
	const unknown = "flag provided but not defined: -"
	text := err.Error()
	if name, ok := strings.CutPrefix(text, unknown); ok {
		if near := settings.Nearest(strings.TrimLeft(name, "-"), flagNamesOf(c)); near != "" {
			err = fmt.Errorf("%s; did you mean --%s?", text, near)
		}
	}
	return &exitError{exitUsage, err}
}

// flagNamesOf are the long names of the flags that may be where c is.
func flagNamesOf(c *cli.Context) (names []string) {
	flags := c.App.Flags
	if c.Command != nil && len(c.Command.Flags) > 0 {
		flags = c.Command.Flags
	}
	for _, f := range flags {
		for _, name := range f.Names() {
			if len(name) > 1 {
				names = append(names, name)
			}
		}
	}
	return names
}

func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return &exitError{exitUsage, fmt.Errorf("unexpected argument %q; see %s --help", c.Args().First(), c.App.Name)}
	}
	return nil
}

// serveByDefault runs the sidecar where no command was typed. A word that is none is more likely a command with a mistake in it.
func serveByDefault(c *cli.Context) error {
	if word := c.Args().First(); word != "" {
		return noCommand(c.App.Name, c.App.Name, word, c.App.Commands)
	}
	return serve(c)
}

// needsCommand is the action of commands that only have subcommands.
func needsCommand(c *cli.Context) error {
	if word := c.Args().First(); word != "" {
		return noCommand(c.Command.Name, c.App.Name+" "+c.Command.Name, word, c.Command.Subcommands)
	}
	return cli.ShowSubcommandHelp(c)
}

func noCommand(group, typed, word string, commands []*cli.Command) error {
	var names []string
	for _, command := range commands {
		names = append(names, command.Names()...)
	}
	if near := settings.Nearest(word, names); near != "" {
		return &exitError{exitUsage, fmt.Errorf("%s has no command %q; did you mean %s?", group, word, near)}
	}
	return &exitError{exitUsage, fmt.Errorf("%s has no command %q; see %s --help", group, word, typed)}
}

// programName is the name that was typed, if it is one of the program's.
func programName(arg0 string) string {
	if name := strings.TrimSuffix(filepath.Base(arg0), ".exe"); name == "defenseclaw" {
		return name
	}
	return "defenseclaw-gateway"
}

// withHelp turns the word help, before or behind the names of commands, into the flag, and version behind a group into the command.
func withHelp(args []string, commands []*cli.Command) []string {
	for i := 1; i < len(args) && !strings.HasPrefix(args[i], "-"); i++ {
		at := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[i]) })
		switch {
		case args[i] == "help" && i+1 < len(args) && strings.HasPrefix(args[i+1], "-"):
			return args
		case args[i] == "help":
			return append(slices.Delete(slices.Clone(args), i, i+1), "--help")
		case at < 0 && args[i] == "version" && i == len(args)-1 && i > 1:
			return []string{args[0], "version"}
		case at < 0:
			return args
		}
		if leaf := commands[at]; len(leaf.Subcommands) == 0 && (leaf.ArgsUsage != "" || i+2 != len(args)) {
			return args // the word may be an argument
		}
		commands = commands[at].Subcommands
	}
	return args
}

func helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "show what a command does, and its flags: help policy status; so does help behind a command", ArgsUsage: "[COMMAND…]",
		Action: cli.ShowAppHelp, OnUsageError: usageError, // withHelp turns all but the bare word into --help
	}
}

// tidy makes the commands alike: what is wrong with a flag is answered in one way, and a flag shows its default once.
func tidy(commands []*cli.Command) {
	for _, command := range commands {
		command.OnUsageError = usageError
		showDefaultsOnce(command.Flags)
		tidy(command.Subcommands)
	}
}

func showDefaultsOnce(flags []cli.Flag) {
	for _, f := range flags {
		if b := boolFlag(f); b != nil {
			b.DisableDefaultText = true // that of a flag without a value is always the same
		}
	}
}
