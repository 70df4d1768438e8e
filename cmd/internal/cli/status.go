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
		Usage:        "show what the running sidecar serves; exits with 0 if it is current, 3 if the last good policy or one that an order keeps serves, 1 otherwise",
		Flags:        statusFlags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return showStatus(c, printStatus) },
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
	switch status.State {
	case "stale", "restored":
		return &exitError{code: exitStale}
	case "empty":
		return &exitError{code: exitFailure}
	}
	if from := status.Source; from != nil && from.Stale != nil && from.Stale.Now {
		return &exitError{code: exitStale}
	}
	if c := status.Control; c != nil && (c.Revision != "" || c.Digest != "") {
		return &exitError{code: exitStale}
	}
	return nil
}
