package cli

import (
	"io"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"

	"github.com/urfave/cli/v2"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:         "status",
		Usage:        "show in ten lines what the running sidecar serves, and what is wrong, the worst first; exits by the worst part: 0 if all is well, 4 if a part such as the audit log does not work, 3 if the last good policy or one that an order keeps serves, 1 if nothing serves or nothing answers",
		Flags:        append(statusFlags(), &cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show all of it, with the text of each problem"}),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			return showStatus(c, func(w io.Writer, _ string, s api.StatusAnswer) { printStatus(w, s, c.Bool("verbose")) })
		},
	}
}

func statusFlags() []cli.Flag {
	return append(clientFlags(), &cli.BoolFlag{Name: "json", Usage: "print the sidecar's JSON"})
}

// showStatus prints the sidecar's status, as text or as JSON. The exit code says whether it is current.
func showStatus(c *cli.Context, print func(w io.Writer, addr string, s api.StatusAnswer)) error {
	if err := noArguments(c); err != nil {
		return err
	}
	sidecar, err := client(c)
	if err != nil {
		return err
	}
	sidecar.Timeout = 10 * time.Second
	status, err := sidecar.Status(c.Context)
	if err != nil {
		return asFailure(err)
	}
	if c.Bool("json") {
		if err := report.JSON(c.App.Writer, status); err != nil {
			return err
		}
	} else {
		print(c.App.Writer, sidecar.Addr, status)
	}
	if code := statusCode(status); code != 0 {
		return &exitError{code: code}
	}
	return nil
}
