package cli

import (
	"fmt"
	"strings"
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/api/gate"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/cmd/internal/tokens"

	"github.com/urfave/cli/v2"
)

func tokenNewCommand() *cli.Command {
	return &cli.Command{
		Name:  "new",
		Usage: "make a token for one caller, and print it: it is shown this once",
		Flags: append(settingFlags("data-dir"),
			&cli.StringFlag{Name: "name", Required: true, Usage: "call it `NAME` in records and messages"},
			&cli.StringSliceFlag{Name: "scope", Required: true, Usage: "permit `SCOPES`, with commas between them: " + strings.Join(gate.ScopeNames(), ", ")},
			&cli.StringFlag{Name: "expires", Usage: "end after `DURATION`, such as 12h or 90d (default: never)"},
		),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			s, err := resolve(c)
			if err != nil {
				return err
			}
			scopes, err := gate.ParseScopes(c.StringSlice("scope"))
			if err != nil {
				return fmt.Errorf("--scope: %w", err)
			}
			lasts, err := parseDays("expires", c.String("expires"))
			if err != nil {
				return err
			}
			token, entry, err := tokens.Store{DataDir: s.DataDir}.Add(c.Context, c.String("name"), scopes, lasts)
			if err != nil {
				return err
			}
			terminal.Fprintf(c.App.ErrWriter, "token %s, id %s, with %s, expires %s; it is not shown again\n",
				entry.Name, entry.ID(), strings.Join(entry.Scopes, ", "), expiry(entry))
			terminal.Fprintf(c.App.Writer, "%s\n", token)
			return nil
		},
		OnUsageError: usageError,
	}
}

// parseDays reads the value of a flag: a duration of Go, or a number of days. An empty text is 0.
func parseDays(flag, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, ok := audit.ParseSpan(text)
	if !ok || d < time.Second {
		return 0, fmt.Errorf("--%s is %q: a duration such as 12h or 90d was expected", flag, text)
	}
	return d, nil
}

// expiry says when a token ends.
func expiry(e tokens.Entry) string {
	switch {
	case e.Expires.IsZero():
		return "never"
	case e.Expired():
		return "expired"
	default:
		return e.Expires.Local().Format(time.DateTime)
	}
}
