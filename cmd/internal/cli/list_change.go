package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
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
	if !c.Bool("any-type") {
		if entry.TargetType, err = knownType(entry.TargetType); err != nil {
			return err
		}
	}
	if entry.ExpiresAt, err = expiryOf(c.String("for")); err != nil {
		return err
	}
	running, err := client(c)
	if err != nil {
		return err
	}
	if remove {
		if err := running.RemoveFromList(c.Context, list, entry); err != nil {
			return err
		}
		_, err = terminal.Fprintf(c.App.Writer, "%s/%s is off the %s list\n", entry.TargetType, entry.TargetName, list)
		return err
	}
	answer, err := running.AddToList(c.Context, list, entry)
	if err != nil {
		return err
	}
	return printAdded(c, list, entry, answer)
}

func printAdded(c *cli.Context, list string, entry api.ListRequest, answer api.ListAnswer) error {
	result, rest := "was already on", ""
	if answer.Changed {
		result = "is on"
	}
	if now := answer.Entry; now != nil {
		if !now.ExpiresAt.IsZero() {
			rest = " until " + now.ExpiresAt.Local().Format(time.DateTime)
		}
		if now.Reason != "" {
			rest += ": " + now.Reason
		}
	}
	_, err := terminal.Fprintf(c.App.Writer, "%s/%s %s the %s list%s\n", entry.TargetType, entry.TargetName, result, list, rest)
	return err
}

// knownType returns the type that text means. A mistyped one would block nothing.
func knownType(text string) (string, error) {
	if known := strings.ToLower(text); slices.Contains(api.TargetTypes, known) {
		return known, nil
	}
	near := audit.Nearest(text, api.TargetTypes)
	if near != "" {
		near = "; did you mean " + near + "?"
	}
	return "", fmt.Errorf("--type is %q: expected %s, or --any-type for one that callers of your own name%s", text, strings.Join(api.TargetTypes, ", "), near)
}

// expiryOf converts --for to the expires_at of a request.
func expiryOf(text string) (string, error) {
	switch text {
	case "":
		return "", nil
	case "forever":
		return "never", nil
	}
	d, err := parseDays("for", text)
	if err != nil {
		return "", fmt.Errorf("%w, or forever", err)
	}
	return time.Now().Add(d).UTC().Format(time.RFC3339Nano), nil
}
