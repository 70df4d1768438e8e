package cli

import (
	"errors"
	"fmt"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/urfave/cli/v2"
)

func domainsCommand() *cli.Command {
	return &cli.Command{
		Name:         "domains",
		Usage:        "print what the firewall data of a directory allows and blocks",
		ArgsUsage:    "[DIR]",
		Flags:        append(dirFlags(), &cli.BoolFlag{Name: "json", Usage: "print JSON"}),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			g, err := generation(c)
			if err != nil {
				return err
			}
			var firewall struct {
				DefaultAction       string   `json:"default_action"`
				AllowedPorts        []int    `json:"allowed_ports"`
				BlockedDestinations []string `json:"blocked_destinations"`
				AllowedDomains      []string `json:"allowed_domains"`
			}
			section := g.Data().Get(ast.InternedTerm("firewall"))
			if section == nil {
				return errors.New("the data has no firewall section")
			}
			if err := ast.As(section.Value, &firewall); err != nil {
				return fmt.Errorf("the data's firewall section: %w", err)
			}
			if c.Bool("json") {
				return report.JSON(c.App.Writer, firewall)
			}
			w := c.App.Writer
			terminal.Fprintf(w, "Default action: %s\nAllowed ports:  %v\n\nBlocked destinations:\n", firewall.DefaultAction, firewall.AllowedPorts)
			for _, d := range firewall.BlockedDestinations {
				terminal.Fprintf(w, "  - %s\n", d)
			}
			fmt.Fprint(w, "\nAllowed domains:\n")
			for _, d := range firewall.AllowedDomains {
				terminal.Fprintf(w, "  + %s\n", d)
			}
			return nil
		},
	}
}
