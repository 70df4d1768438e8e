package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/watcher/fleet/record"

	"github.com/urfave/cli/v2"
)

func fleetKeyListCommand() *cli.Command {
	return &cli.Command{
		Name:         "list",
		Usage:        "list the keys in files: those that agents trust, or private ones, of which it prints the lines by which agents trust them",
		ArgsUsage:    "FILE…",
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return &exitError{exitUsage, errors.New("a file was expected: fleet key list FILE")}
			}
			for _, file := range c.Args().Slice() {
				if err := listKeys(c, file); err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
			}
			return nil
		},
	}
}

func listKeys(c *cli.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	if strings.Contains(string(text), " PRIVATE+KEY+") {
		private, err := fleet.ReadSigners(text)
		if err != nil {
			return err
		}
		lines = private.Lines()
	} else if _, err := record.ParseKeys(text); err != nil {
		return err
	}
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			if _, err := terminal.Fprintf(c.App.Writer, "%s\n", line); err != nil {
				return err
			}
		}
	}
	return nil
}
