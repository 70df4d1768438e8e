package cli

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/urfave/cli/v2"

	"defenseclaw/cmd/internal/report"
)

func showCommand() *cli.Command {
	return &cli.Command{
		Name:         "show",
		Usage:        "print the merged data of a directory as JSON",
		ArgsUsage:    "[DIR]",
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
			return report.JSON(c.App.Writer, data)
		},
	}
}
