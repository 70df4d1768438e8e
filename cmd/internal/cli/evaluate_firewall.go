package cli

import (
	"errors"

	"github.com/urfave/cli/v2"

	"defenseclaw/api/domains"
	"defenseclaw/cmd/internal/report"
)

func evaluateFirewallCommand() *cli.Command {
	return &cli.Command{
		Name:      "evaluate-firewall",
		Usage:     "evaluate the firewall policy of a directory, without a sidecar",
		ArgsUsage: "[DIR]",
		Flags: append(dirFlags(),
			&cli.StringFlag{Name: "destination", Usage: "destination `HOST` (required)"},
			&cli.IntFlag{Name: "port", Value: 443, Usage: "destination `PORT`"},
			&cli.StringFlag{Name: "protocol", Value: "tcp", Usage: "`PROTOCOL` of the connection"},
			&cli.StringFlag{Name: "target-type", Value: "skill", Usage: "`TYPE` of the caller: skill, mcp or plugin"},
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
			answer, err := domains.EvaluateFirewall(c.Context, g, domains.FirewallRequest{
				TargetType: c.String("target-type"), Destination: c.String("destination"), Port: c.Int("port"), Protocol: c.String("protocol"),
			})
			if err != nil {
				return err
			}
			return report.JSON(c.App.Writer, answer)
		},
	}
}
