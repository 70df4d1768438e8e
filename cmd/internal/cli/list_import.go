package cli

import (
	"fmt"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func importLists(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	original, err := originalOf(c, "from")
	if err != nil {
		return err
	}
	defer original.Close() //nolint:errcheck // it was opened for reading
	im, err := original.Lists(c.Context)
	if err != nil {
		return err
	}
	running, err := client(c)
	if err != nil {
		return err
	}
	lists, err := running.Lists(c.Context)
	if err != nil {
		return err
	}
	wanted := im.Unknown(&audit.Lists{Block: lists.Block, Allow: lists.Allow})
	verb := "would be put on"
	if !c.Bool("dry-run") {
		verb = "is on"
		if err := sendImport(c, running, audit.Import{Source: im.Source, Entries: wanted, LeftOut: im.LeftOut}); err != nil {
			return err
		}
	}
	for _, e := range wanted {
		terminal.Fprintf(c.App.Writer, "%s/%s %s the %s list\n", e.TargetType, e.TargetName, verb, e.List)
	}
	for _, left := range im.LeftOut {
		terminal.Fprintf(c.App.Writer, "%s is left out: %s\n", left.Target, left.Why)
	}
	_, err = fmt.Fprintf(c.App.Writer, "%d entries, %d as they are here, %d left out\n", len(wanted), len(im.Entries)-len(wanted), len(im.LeftOut))
	return err
}

// sendImport sends an import in parts that the sidecar takes.
func sendImport(c *cli.Context, running *api.Client, im audit.Import) error {
	const most = 50 // of one part: each may have several KiB
	for len(im.Entries)+len(im.LeftOut) > 0 {
		part := audit.Import{Source: im.Source, Entries: im.Entries[:min(len(im.Entries), most)]}
		im.Entries = im.Entries[len(part.Entries):]
		if len(im.Entries) == 0 {
			part.LeftOut = im.LeftOut[:min(len(im.LeftOut), most)]
			im.LeftOut = im.LeftOut[len(part.LeftOut):]
		}
		if _, err := running.ImportLists(c.Context, part); err != nil {
			return err
		}
	}
	return nil
}
