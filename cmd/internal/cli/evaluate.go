package cli

import (
	"errors"
	"strings"

	"defenseclaw/api/domains"
	"defenseclaw/cmd/internal/report"

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
			in := domains.AdmissionInput{TargetType: c.String("target-type"), TargetName: c.String("target-name"), Path: c.String("path")}
			if c.String("severity") != "" || c.IsSet("findings") {
				findings := c.Int("findings")
				if !c.IsSet("findings") {
					findings = 1 // it was one at least that is so severe
				}
				in.ScanResult = map[string]any{"max_severity": strings.ToUpper(c.String("severity")), "total_findings": findings}
			}
			verdict, err := domains.EvaluateAdmission(c.Context, g, in)
			if err != nil {
				return err
			}
			return report.JSON(c.App.Writer, verdict)
		},
	}
}
