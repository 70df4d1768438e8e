package cli

import (
	"errors"

	"github.com/urfave/cli/v2"

	"defenseclaw/api/domains"
	"defenseclaw/cmd/internal/report"
)

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
