package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func consoleCommand() *cli.Command {
	return &cli.Command{
		Name:        "console",
		Usage:       "print a link that signs a browser in to the running sidecar's console, and open it on a desktop",
		Description: "The link works once, within a minute. docs/CONSOLE.md says what the pages show.",
		Flags:       append(clientFlags(), &cli.BoolFlag{Name: "print", Usage: "print the link and open nothing"}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			sidecar, err := client(c)
			if err != nil {
				return err
			}
			if strings.HasPrefix(sidecar.Addr, "unix:") {
				return errors.New("the sidecar listens on a Unix socket alone, which no browser opens: --api-bind and --api-port give it an address")
			}
			link, err := sidecar.ConsoleLink(c.Context)
			if err != nil {
				return err
			}
			terminal.Fprintf(c.App.Writer, "%s\n", link)
			if c.Bool("print") || !hasDesktop() {
				return nil
			}
			if err := openLink(link); err != nil {
				terminal.Fprintf(c.App.ErrWriter, "%s\n", "no browser could be opened: "+err.Error())
			}
			return nil
		},
		OnUsageError: usageError,
	}
}

// hasDesktop reports whether somebody sits before a screen of this machine.
func hasDesktop() bool {
	switch runtime.GOOS {
	case "darwin", "windows":
		return os.Getenv("SSH_CONNECTION") == ""
	default:
		return os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
	}
}

// openLink has the desktop open a link, and does not wait for the browser to end.
func openLink(link string) error {
	name, args := "xdg-open", []string{link}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", link}
	}
	program := exec.Command(name, args...) //nolint:gosec,noctx // a program of the desktop, which may outlive this one
	if err := program.Start(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return program.Process.Release()
}
