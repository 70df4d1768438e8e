package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arguments are those of a command whose flags may come after them, too, as people type them. What follows -- is no flag.
func arguments(c *cli.Context) ([]string, error) {
	var found []string
	rest := c.Args().Slice()
	for len(rest) > 0 {
		arg := rest[0]
		rest = rest[1:]
		if arg == "--" {
			return append(found, rest...), nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			found = append(found, arg)
			continue
		}
		name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		at := slices.IndexFunc(c.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
		if at < 0 {
			return nil, &exitError{exitUsage, fmt.Errorf("flag provided but not defined: %s", arg)}
		}
		if _, isBool := c.Command.Flags[at].(*cli.BoolFlag); isBool && !given {
			value, given = "true", true
		}
		if !given {
			if len(rest) == 0 {
				return nil, &exitError{exitUsage, fmt.Errorf("flag needs an argument: %s", arg)}
			}
			value, rest = rest[0], rest[1:]
		}
		names := c.Command.Flags[at].Names()
		if _, isList := c.Command.Flags[at].(*cli.StringSliceFlag); isList {
			names = names[:1] // its names share one list
		}
		for _, name := range names {
			if err := c.Set(name, value); err != nil {
				return nil, &exitError{exitUsage, fmt.Errorf("invalid value %q for %s: %w", value, arg, err)}
			}
		}
	}
	return found, nil
}

// oneDirectory is the directory that the command names, or else the policy directory.
func oneDirectory(args []string, policyDir string) (string, error) {
	switch {
	case len(args) > 1:
		return "", &exitError{exitUsage, errors.New("expected one directory")}
	case len(args) == 1:
		return args[0], nil
	case policyDir == "":
		return "", &exitError{exitUsage, errors.New("expected a directory: no policy directory is set or found")}
	}
	return policyDir, nil
}
