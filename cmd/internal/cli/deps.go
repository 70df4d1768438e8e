package cli

import (
	"errors"

	"defenseclaw/cmd/internal/query"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine/diagnostic"

	"github.com/urfave/cli/v2"
)

func depsCommand() *cli.Command {
	return &cli.Command{
		Name:      "deps",
		Usage:     "list the data, input and rules that a query or a rule depends on, and the rules that refer to it",
		ArgsUsage: "QUERY or PATH [DIR]",
		Flags: append(dirFlags(),
			&cli.StringSliceFlag{Name: "data", Aliases: []string{"d"}, Usage: "use `DIR`, or single files of Rego, JSON and YAML, as the policy; may be repeated for files"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		),
		Action:       dependencies,
		OnUsageError: usageError,
	}
}

func dependencies(c *cli.Context) error {
	text, err := queryArgument(c)
	if err != nil {
		return err
	}
	g, place, err := generationOfData(c)
	if err != nil {
		return err
	}
	found, err := query.DepsOf(g, text)
	if list := (diagnostic.List)(nil); errors.As(err, &list) {
		report.Write(c.App.ErrWriter, list)
		return errors.New("the query does not compile")
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, found)
	}
	return found.Write(c.App.Writer, place)
}
