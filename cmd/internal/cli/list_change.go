package cli

import (
	"fmt"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func changeList(c *cli.Context, remove bool) error {
	list, err := listOf(c)
	if err != nil {
		return err
	}
	if c.Args().Len() != 2 {
		return fmt.Errorf("expected a list and a name after the flags, got %d arguments", c.Args().Len())
	}
	entry := api.ListRequest{
		TargetType: c.String("type"), TargetName: c.Args().Get(1), Reason: c.String("reason"), SourcePath: c.String("source-path"),
	}
	running, err := client(c)
	if err != nil {
		return err
	}
	result := "is on the"
	if remove {
		result, err = "is off the", running.RemoveFromList(c.Context, list, entry)
	} else {
		var changed bool
		if changed, err = running.AddToList(c.Context, list, entry); !changed {
			result = "was already on the"
		}
	}
	if err != nil {
		return err
	}
	_, err = terminal.Fprintf(c.App.Writer, "%s/%s %s %s list\n", entry.TargetType, entry.TargetName, result, list)
	return err
}
