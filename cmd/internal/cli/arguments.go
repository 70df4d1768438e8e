package cli

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// completionFlag is the last argument when a shell asks for completions, which are those of the line as it stands.
const completionFlag = "--generate-bash-completion"

// flagsFirst orders a command line as the parser needs it, which takes no flag after the first argument: the flags of a command
// come before its arguments, however they were typed. What follows -- is no flag, and neither is a negative number.
func flagsFirst(app *cli.App, args []string) []string {
	if len(args) == 0 || args[len(args)-1] == completionFlag {
		return args
	}
	ordered := []string{args[0]}
	rest := args[1:]
	flags, commands := app.Flags, app.Commands
	for len(commands) > 0 { // down to the command that runs
		flag, after := nextFlag(flags, rest)
		ordered, rest = append(ordered, flag...), after
		if len(flag) > 0 {
			continue
		}
		at := slices.IndexFunc(commands, func(c *cli.Command) bool { return len(rest) > 0 && c.HasName(rest[0]) })
		if at < 0 {
			return append(ordered, rest...) // the parser says what is wrong, if anything is
		}
		ordered, rest = append(ordered, rest[0]), rest[1:]
		flags, commands = commands[at].Flags, commands[at].Subcommands
	}
	return append(ordered, flagsBeforeWords(flags, rest)...)
}

// flagsBeforeWords orders the flags and arguments of one command.
func flagsBeforeWords(flags []cli.Flag, rest []string) []string {
	var ordered, words []string
	for len(rest) > 0 {
		flag, after := nextFlag(flags, rest)
		switch {
		case len(flag) > 0:
			ordered, rest = append(ordered, flag...), after
			if len(rest) == 0 && lacksValue(flags, flag) {
				return ordered // the parser says so; a word after it would be its value
			}
		case rest[0] == "--":
			words, rest = append(words, rest[1:]...), nil
		default:
			words, rest = append(words, rest[0]), rest[1:]
		}
	}
	if slices.ContainsFunc(words, func(word string) bool { return looksLikeFlag(word) || word == "--" }) {
		ordered = append(ordered, "--")
	}
	return append(ordered, words...)
}

// nextFlag splits off the flag, with its value, that args begin with; flag is empty if they begin with something else.
func nextFlag(flags []cli.Flag, args []string) (flag, rest []string) {
	if len(args) == 0 || args[0] == "--" || !looksLikeFlag(args[0]) {
		return nil, args
	}
	name, _, hasValue := strings.Cut(args[0], "=")
	found := flagNamed(flags, name)
	if _, err := strconv.ParseFloat(args[0], 64); err == nil && found == nil {
		return nil, args
	}
	if hasValue || !takesValue(found) || len(args) == 1 {
		return args[:1], args[1:]
	}
	return args[:2], args[2:]
}

func looksLikeFlag(word string) bool { return len(word) > 1 && word[0] == '-' }

func lacksValue(flags []cli.Flag, flag []string) bool {
	return len(flag) == 1 && !strings.Contains(flag[0], "=") && takesValue(flagNamed(flags, flag[0]))
}

// flagNamed finds a flag as it is typed, with one dash or two; nil if there is none.
func flagNamed(flags []cli.Flag, typed string) cli.Flag {
	name := strings.TrimPrefix(strings.TrimPrefix(typed, "-"), "-")
	if at := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) }); at >= 0 {
		return flags[at]
	}
	return nil
}

// takesValue reports whether a flag has a value. --help and flags that do not exist have none.
func takesValue(f cli.Flag) bool {
	return f != nil && boolFlag(f) == nil
}

// oneDirectory is the directory that the command names, as an argument or by --rego-dir, or else the policy directory.
func oneDirectory(c *cli.Context, policyDir string) (string, error) {
	named, err := namedDirectory(c, c.Args().Slice())
	switch {
	case err != nil:
		return "", &exitError{exitUsage, err}
	case named != "":
		return named, nil
	case policyDir == "":
		return "", &exitError{exitUsage, errors.New("expected a directory: no policy directory is set or found")}
	}
	return policyDir, nil
}

// sameDirectory compares two names of a directory.
func sameDirectory(a, b string) bool {
	fromA, errA := filepath.Abs(a)
	fromB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && fromA == fromB
}
