package cli

import (
	"fmt"

	"defenseclaw/api/audit"

	"github.com/urfave/cli/v2"
)

func listCommand() *cli.Command {
	target := []cli.Flag{
		&cli.StringFlag{Name: "type", Value: "skill", Usage: "target `TYPE`: skill, mcp or plugin"},
		&cli.BoolFlag{Name: "any-type", Usage: "take another --type, which callers of your own name"},
		&cli.StringFlag{Name: "reason", Usage: "`TEXT` for the audit log and for callers that are refused"},
	}
	return &cli.Command{
		Name:            "list",
		Usage:           "change and show the block and allow lists of admission",
		HideHelpCommand: true,
		OnUsageError:    usageError,
		Action:          needsCommand,
		Subcommands: []*cli.Command{
			{
				Name: "add", Usage: "add a target to a list", ArgsUsage: "block|allow NAME", OnUsageError: usageError,
				Flags: append(append(clientFlags(), target...),
					&cli.StringFlag{Name: "source-path", Usage: "allow the target only from `PATH`"},
					&cli.StringFlag{Name: "for", Usage: "take it off by itself after `TIME`: 24h or 7d; or forever"}),
				Action: func(c *cli.Context) error { return changeList(c, false) },
			},
			{
				Name: "remove", Usage: "remove a target from a list", ArgsUsage: "block|allow NAME", OnUsageError: usageError,
				Flags:  append(clientFlags(), target...),
				Action: func(c *cli.Context) error { return changeList(c, true) },
			},
			{
				Name: "show", Usage: "show one list, or both", ArgsUsage: "[block|allow]", OnUsageError: usageError,
				Flags:  append(clientFlags(), &cli.BoolFlag{Name: "json", Usage: "print JSON"}),
				Action: showLists,
			},
			{
				Name: "import", Usage: "take over what the original gateway's lists have and the lists here lack", OnUsageError: usageError,
				Flags: append(clientFlags(),
					&cli.StringFlag{Name: "from", Usage: "read the lists from the audit.db `FILE`, not from that of the data directory"},
					&cli.BoolFlag{Name: "dry-run", Usage: "say what would be taken over, and change nothing"}),
				Action: importLists,
			},
		},
	}
}

// listOf returns the list that the first argument names.
func listOf(c *cli.Context) (string, error) {
	list := c.Args().First()
	if list != audit.ListBlock && list != audit.ListAllow {
		return "", fmt.Errorf("the list is %q: expected block or allow", list)
	}
	return list, nil
}
