package cli

import (
	"fmt"

	"defenseclaw/api/audit"

	"github.com/urfave/cli/v2"
)

func listCommand() *cli.Command {
	target := []cli.Flag{
		&cli.StringFlag{Name: "type", Value: "skill", Usage: "the target is a `TYPE`: skill, mcp, plugin…"},
		&cli.StringFlag{Name: "reason", Usage: "say `WHY`, for the record and for whoever is refused"},
	}
	return &cli.Command{
		Name:            "list",
		Usage:           "change and show the block and allow lists that admission goes by",
		HideHelpCommand: true,
		OnUsageError:    usageError,
		Action:          needsCommand,
		Subcommands: []*cli.Command{
			{
				Name: "add", Usage: "put a target on a list", ArgsUsage: "block|allow NAME", OnUsageError: usageError,
				Flags:  append(append(clientFlags(), target...), &cli.StringFlag{Name: "source-path", Usage: "allow it from `PATH` only"}),
				Action: func(c *cli.Context) error { return changeList(c, false) },
			},
			{
				Name: "remove", Usage: "take a target off a list", ArgsUsage: "block|allow NAME", OnUsageError: usageError,
				Flags:  append(clientFlags(), target...),
				Action: func(c *cli.Context) error { return changeList(c, true) },
			},
			{
				Name: "show", Usage: "show a list, or both", ArgsUsage: "[block|allow]", OnUsageError: usageError,
				Flags:  append(clientFlags(), &cli.BoolFlag{Name: "json", Usage: "print JSON"}),
				Action: showLists,
			},
		},
	}
}

// listOf reads the first argument.
func listOf(c *cli.Context) (string, error) {
	list := c.Args().First()
	if list != audit.ListBlock && list != audit.ListAllow {
		return "", fmt.Errorf("the list is %q: block or allow was expected", list)
	}
	return list, nil
}
