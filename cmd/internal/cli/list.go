package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"defenseclaw/api"
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

func changeList(c *cli.Context, remove bool) error {
	list, err := listOf(c)
	if err != nil {
		return err
	}
	if c.Args().Len() != 2 {
		return fmt.Errorf("%d arguments: a list and a name were expected; flags go before them", c.Args().Len())
	}
	entry := api.ListRequest{
		TargetType: c.String("type"), TargetName: c.Args().Get(1), Reason: c.String("reason"), SourcePath: c.String("source-path"),
	}
	running, err := client(c)
	if err != nil {
		return err
	}
	said := "is on the"
	if remove {
		said, err = "is off the", running.RemoveFromList(c.Context, list, entry)
	} else {
		var changed bool
		if changed, err = running.AddToList(c.Context, list, entry); !changed {
			said = "was already on the"
		}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s/%s %s %s list\n", entry.TargetType, entry.TargetName, said, list)
	return err
}

func showLists(c *cli.Context) error {
	only := ""
	if c.Args().Present() {
		var err error
		if only, err = listOf(c); err != nil {
			return err
		}
	}
	running, err := client(c)
	if err != nil {
		return err
	}
	lists, err := running.Lists(c.Context)
	if err != nil {
		return err
	}
	switch only {
	case audit.ListBlock:
		lists.Allow = []audit.Entry{}
	case audit.ListAllow:
		lists.Block = []audit.Entry{}
	}
	if c.Bool("json") {
		return indented(c.App.Writer, lists)
	}
	table := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "LIST\tTARGET\tSINCE\tBY\tREASON")
	for _, e := range append(lists.Block, lists.Allow...) {
		reason := e.Reason
		if e.SourcePath != "" {
			reason += " (from " + e.SourcePath + " only)"
		}
		fmt.Fprintf(table, "%s\t%s/%s\t%s\t%s\t%s\n", e.List, e.TargetType, e.TargetName, e.CreatedAt.Local().Format(time.DateTime), e.Actor, reason)
	}
	return table.Flush()
}
