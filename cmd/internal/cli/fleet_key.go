package cli

import (
	"github.com/urfave/cli/v2"
)

func fleetKeyCommand() *cli.Command {
	return &cli.Command{
		Name:            "key",
		Usage:           "make and list the keys that sign what agents serve",
		Subcommands:     []*cli.Command{fleetKeyNewCommand(), fleetKeyListCommand()},
		HideHelpCommand: true,
		OnUsageError:    usageError,
		Action:          needsCommand,
	}
}
