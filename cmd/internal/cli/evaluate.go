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
		Name:      "evaluate",
		Usage:     "evaluate the admission policy of a directory, without a sidecar and its block and allow lists",
		ArgsUsage: "[DIR]",
		Flags: append(dirFlags(),
			&cli.StringFlag{Name: "target-type", Value: "skill", Usage: "target `TYPE`: skill, mcp or plugin"},
			&cli.StringFlag{Name: "target-name", Usage: "target `NAME` (required)"},
			&cli.StringFlag{Name: "path", Value: "/dry-run", Usage: "target `PATH`"},
			&cli.StringFlag{Name: "severity", Usage: "highest `SEVERITY` that a scan found; without it, the target was not scanned"},
			&cli.Int64Flag{Name: "findings", Usage: "the scan has `N` findings", DefaultText: "1 if --severity is set"},
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
				findings := c.Int64("findings")
				if !c.IsSet("findings") {
					findings = 1 // a severity needs a finding
				}
				in.ScanResult = &domains.ScanResult{MaxSeverity: strings.ToUpper(c.String("severity")), TotalFindings: &findings}
			}
			verdict, err := domains.EvaluateAdmission(c.Context, g, in)
			if err != nil {
				return err
			}
			return report.JSON(c.App.Writer, verdict)
		},
	}
}
