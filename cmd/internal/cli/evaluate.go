package cli

import (
	"errors"
	"fmt"
	"strings"

	"defenseclaw/api"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/urfave/cli/v2"
)

func evaluateCommand() *cli.Command {
	return &cli.Command{
		Name:  "evaluate",
		Usage: "ask a directory's admission policy, without a sidecar and without its block and allow lists",
		Flags: append(dirFlags(),
			&cli.StringFlag{Name: "target-type", Value: "skill", Usage: "the target is a `TYPE`: skill, mcp or plugin"},
			&cli.StringFlag{Name: "target-name", Usage: "and has this `NAME` (required)"},
			&cli.StringFlag{Name: "path", Value: "/dry-run", Usage: "and lies at `PATH`"},
			&cli.StringFlag{Name: "severity", Usage: "a scan found `SEVERITY` at worst; without it nothing was scanned yet"},
			&cli.IntFlag{Name: "findings", Usage: "and found `N` things: 1 unless told, where there is a severity"},
		),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.String("target-name") == "" {
				return errors.New("--target-name is required")
			}
			g, err := generation(c)
			if err != nil {
				return err
			}
			in := api.AdmissionInput{TargetType: c.String("target-type"), TargetName: c.String("target-name"), Path: c.String("path")}
			if c.String("severity") != "" || c.IsSet("findings") {
				findings := c.Int("findings")
				if !c.IsSet("findings") {
					findings = 1 // it was one at least that is so severe
				}
				in.ScanResult = map[string]any{"max_severity": strings.ToUpper(c.String("severity")), "total_findings": findings}
			}
			verdict, err := api.EvaluateAdmission(c.Context, g, in)
			if err != nil {
				return err
			}
			return indented(c.App.Writer, verdict)
		},
	}
}

func evaluateFirewallCommand() *cli.Command {
	return &cli.Command{
		Name:  "evaluate-firewall",
		Usage: "ask a directory's firewall policy, without a sidecar",
		Flags: append(dirFlags(),
			&cli.StringFlag{Name: "destination", Usage: "may `HOST` be reached (required)"},
			&cli.IntFlag{Name: "port", Value: 443, Usage: "at this `PORT`"},
			&cli.StringFlag{Name: "protocol", Value: "tcp", Usage: "by `PROTOCOL`"},
			&cli.StringFlag{Name: "target-type", Value: "skill", Usage: "from a `TYPE`: skill, mcp or plugin"},
		),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.String("destination") == "" {
				return errors.New("--destination is required")
			}
			g, err := generation(c)
			if err != nil {
				return err
			}
			answer, err := api.EvaluateFirewall(c.Context, g, api.FirewallRequest{
				TargetType: c.String("target-type"), Destination: c.String("destination"), Port: c.Int("port"), Protocol: c.String("protocol"),
			})
			if err != nil {
				return err
			}
			return indented(c.App.Writer, answer)
		},
	}
}

func showCommand() *cli.Command {
	return &cli.Command{
		Name:         "show",
		Usage:        "print the data that the files of a directory make together, as JSON",
		Flags:        dirFlags(),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			g, err := generation(c)
			if err != nil {
				return err
			}
			data, err := ast.JSON(g.Data())
			if err != nil {
				return err
			}
			return indented(c.App.Writer, data)
		},
	}
}

func domainsCommand() *cli.Command {
	return &cli.Command{
		Name:         "domains",
		Usage:        "print what a directory's firewall data allows and blocks",
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
				return indented(c.App.Writer, firewall)
			}
			w := c.App.Writer
			fmt.Fprintf(w, "Default action: %s\nAllowed ports:  %v\n\nBlocked destinations:\n", firewall.DefaultAction, firewall.AllowedPorts)
			for _, d := range firewall.BlockedDestinations {
				fmt.Fprintf(w, "  - %s\n", d)
			}
			fmt.Fprint(w, "\nAllowed domains:\n")
			for _, d := range firewall.AllowedDomains {
				fmt.Fprintf(w, "  + %s\n", d)
			}
			return nil
		},
	}
}
