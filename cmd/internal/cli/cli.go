// Package cli is the command tree: flags, one call, printing. What the commands do lives elsewhere.
package cli

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/sidecar"

	"github.com/urfave/cli/v2"
)

// Exit codes beside 0.
const (
	exitFailure = 1 // could not be done, or the answer is no
	exitStale   = 3 // policy status: the last good policy serves, the newest is broken
)

// exitError is an error with an exit code of its own. A nil Err prints nothing: the command has
// said everything.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Main runs the command line and returns the exit code.
func Main(args []string) int {
	err := newApp().Run(args)
	if err == nil {
		return 0
	}
	code := exitFailure
	var own *exitError
	if errors.As(err, &own) {
		code = own.code
	}
	if message := err.Error(); message != "" {
		fmt.Fprintln(os.Stderr, "Error: "+message)
	}
	return code
}

func newApp() *cli.App {
	return &cli.App{
		Name:                   "defenseclaw-gateway",
		Usage:                  "the policy sidecar: serves decisions, and reloads policy while it serves",
		Version:                version(),
		Flags:                  settingFlags(),
		Action:                 serve,
		Commands:               []*cli.Command{serveCommand(), overviewCommand(), policyCommand(), listCommand(), auditCommand(), tokenCommand(), completionCommand()},
		HideHelpCommand:        true,
		EnableBashCompletion:   true,
		UseShortOptionHandling: false,
		ExitErrHandler:         func(*cli.Context, error) {}, // Main prints and decides
		OnUsageError:           usageError,
	}
}

func policyCommand() *cli.Command {
	return &cli.Command{
		Name:  "policy",
		Usage: "check, test, reload and inspect policy",
		Subcommands: []*cli.Command{
			reloadCommand(), statusCommand(), validateCommand(), testCommand(), initCommand(), devCommand(), tryCommand(), fmtCommand(), lintCommand(),
			evaluateCommand(), evaluateFirewallCommand(), showCommand(), domainsCommand(),
		},
		HideHelpCommand: true,
		OnUsageError:    usageError,
		Action:          needsCommand,
	}
}

// needsCommand is the action of a command that only holds others.
func needsCommand(c *cli.Context) error {
	if c.Args().Present() {
		return fmt.Errorf("%[1]s has no command %[2]q; see %[1]s --help", c.Command.Name, c.Args().First())
	}
	return cli.ShowSubcommandHelp(c)
}

func usageError(_ *cli.Context, err error, _ bool) error { return err }

// settingFlags are the flags of the settings table. Their defaults are the table's, applied when
// all sources are known.
func settingFlags(names ...string) []cli.Flag {
	var flags []cli.Flag
	for _, s := range sidecar.Table {
		if s.Flag == "" || len(names) > 0 && !slices.Contains(names, s.Flag) {
			continue
		}
		usage := s.Usage
		if s.Env != "" {
			usage += " [$" + s.Env + "]"
		}
		if s.Default != "" {
			usage += " (default: " + s.Default + ")"
		}
		if s.Bool {
			flags = append(flags, &cli.BoolFlag{Name: s.Flag, Usage: usage})
		} else {
			flags = append(flags, &cli.StringFlag{Name: s.Flag, Usage: usage})
		}
	}
	return flags
}

// clientFlags are what a command needs to find the running sidecar.
func clientFlags() []cli.Flag {
	return settingFlags("data-dir", "api-bind", "api-port", "api-socket", "tls-cert", "client-cert", "client-key")
}

func settings(c *cli.Context) (sidecar.Settings, error) {
	return sidecar.Resolve(func(name string) (string, bool) {
		for _, ctx := range c.Lineage() {
			if ctx != nil && slices.Contains(ctx.LocalFlagNames(), name) {
				return fmt.Sprint(ctx.Value(name)), true
			}
		}
		return "", false
	}, os.Getenv)
}

// client finds the running sidecar and its token.
func client(c *cli.Context) (*api.Client, error) {
	s, err := settings(c)
	if err != nil {
		return nil, err
	}
	token, _, err := s.Token(os.Getenv)
	if err != nil && !errors.Is(err, sidecar.ErrNoToken) {
		return nil, err
	}
	return s.Client(token)
}

func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return fmt.Errorf("unexpected argument %q; see %s --help", c.Args().First(), c.App.Name)
	}
	return nil
}

// version is what the build knows of itself.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
