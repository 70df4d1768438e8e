package cli

import (
	"encoding/json"
	"strings"
	"text/tabwriter"
	"time"

	"defenseclaw/api/gate"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/cmd/internal/tokens"

	"github.com/urfave/cli/v2"
)

// listedToken is a line of token list --json.
type listedToken struct {
	Name    string     `json:"name"`
	Scopes  []string   `json:"scopes"`
	Created *time.Time `json:"created,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	ID      string     `json:"id,omitempty"` // the last digits of the token's SHA-256
}

func tokenListCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the tokens by name, with what they may do; never the tokens",
		Flags: append(settingFlags("data-dir"), &cli.BoolFlag{Name: "json", Usage: "print a JSON array"}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			s, err := resolve(c)
			if err != nil {
				return err
			}
			entries, problems, err := tokens.Store{DataDir: s.DataDir}.List()
			if err != nil {
				return err
			}
			for _, p := range problems {
				terminal.Fprintf(c.App.ErrWriter, "%s %s\n", terminal.Look.Of("warning:"), p)
			}
			_, _, err = s.Token()
			if c.Bool("json") {
				return printTokensJSON(c, entries, err == nil)
			}
			table := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
			terminal.Fprintf(table, "NAME\tSCOPES\tCREATED\tEXPIRES\tID\n")
			if err == nil {
				terminal.Fprintf(table, "%s\t%s\t-\tnever\t-\n", gate.DefaultName, gate.AllScopes)
			}
			for _, e := range entries {
				terminal.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", e.Name, strings.Join(e.Scopes, ","),
					e.Created.Local().Format(time.DateTime), expiry(e), e.ID())
			}
			return table.Flush()
		},
		OnUsageError: usageError,
	}
}

func printTokensJSON(c *cli.Context, entries []tokens.Entry, withDefault bool) error {
	list := []listedToken{}
	if withDefault {
		list = append(list, listedToken{Name: gate.DefaultName, Scopes: gate.AllScopes.Names()})
	}
	for _, e := range entries {
		l := listedToken{Name: e.Name, Scopes: e.Scopes, Created: &e.Created, ID: e.ID()}
		if !e.Expires.IsZero() {
			l.Expires = &e.Expires
		}
		list = append(list, l)
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err == nil {
		terminal.Fprintf(c.App.Writer, "%s\n", terminal.Text(string(text)))
	}
	return err
}
