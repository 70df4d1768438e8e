// Package cli is the command tree: flags, one call, printing. What the commands do lives elsewhere.
package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"
)

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
		Name:    "defenseclaw-gateway",
		Usage:   "the policy sidecar: serves decisions, and reloads policy while it serves",
		Version: version(),
		Flags:   settingFlags(),
		Action:  serve,
		Commands: []*cli.Command{
			serveCommand(), overviewCommand(), policyCommand(), listCommand(), auditCommand(), tokenCommand(), completionCommand(),
		},
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
