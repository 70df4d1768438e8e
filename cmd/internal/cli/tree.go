// Package cli is the command tree: flags, one call, printing. What the commands do lives elsewhere.
package cli

import (
	"errors"
	"io"
	"os"
	"strings"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/reviewer"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/worker"

	"github.com/urfave/cli/v2"
)

// Main runs the command line and returns the exit code. A program that can be a broker says by which function.
func Main(args []string, broker ...Broker) int {
	stdout, stderr := newTerminal(os.Stdout), newTerminal(os.Stderr) //nolint:forbidigo // the one place
	defer stdout.Flush()                                             //nolint:errcheck // to a reader that has gone
	defer stderr.Flush()                                             //nolint:errcheck // so
	switch {                                                         // before anything else: they must not do what the program does
	case worker.Asked():
		return exitCode(sidecar.ServeWorker(), stderr)
	case reviewer.Asked():
		return exitCode(reviewer.Serve(reviewer.Steps()), stderr)
	}
	app := newApp(broker...)
	app.Writer, app.ErrWriter = stdout, stderr
	app.Name = programName(args[0])
	return exitCode(app.Run(flagsFirst(app, withHelp(args, app.Commands))), stderr)
}

// exitCode returns the exit code of an error, and prints the error.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if err.Error() != "" {
		printError(stderr, err)
	}
	return codeOf(err)
}

// newTerminal returns the only way by which a command writes to out: see package terminal.
func newTerminal(out io.Writer) *terminal.Writer {
	if os.Getenv("GITHUB_ACTIONS") == "true" {
		return terminal.ForGitHub(out).Coloured(terminal.Colours(out))
	}
	return terminal.NewWriter(out).Coloured(terminal.Colours(out))
}

func printError(w io.Writer, err error) {
	terminal.Fprintf(w, "%s %s\n", terminal.Alarm.Of("Error:"), terminal.Error(err))
	if untrusted := new(api.UntrustedError); errors.As(err, &untrusted) && strings.HasPrefix(untrusted.URL, "http:") {
		terminal.Fprintf(w, "If the listener cannot prove it and may have the token all the same, add --any-listener; see docs/reference/errors/commands.md.\n")
	}
}

func newApp(broker ...Broker) *cli.App {
	app := &cli.App{
		Name:    "defenseclaw-gateway",
		Usage:   "the policy sidecar: serves decisions, and reloads policy while it serves",
		Version: thisBuild().String(),
		Flags:   append(settingFlags(), cli.HelpFlag), // which urfave/cli leaves out where there is a command help
		Action:  serveByDefault,
		Commands: []*cli.Command{
			serveCommand(), overviewCommand(), policyCommand(), consoleCommand(), listCommand(), auditCommand(), tokenCommand(),
			migrateCommand(), fleetCommand(broker...), configCommand(), healthcheckCommand(),
			lspCommand(),
			completionCommand(), helpCommand(), versionCommand(),
		},
		HideHelpCommand:        true,
		EnableBashCompletion:   true,
		UseShortOptionHandling: false,
		ExitErrHandler:         func(*cli.Context, error) {}, // Main prints and decides
		OnUsageError:           usageError,
	}
	showDefaultsOnce(app.Flags)
	tidy(app.Commands)
	return app
}

func policyCommand() *cli.Command {
	return &cli.Command{
		Name:  "policy",
		Usage: "check, test, reload and inspect policy",
		Subcommands: []*cli.Command{
			reloadCommand(), statusCommand(), rollbackCommand(), holdCommand(), resumeCommand(), confirmCommand(), approveCommand(), rejectCommand(), reviewCommand(), diffCommand(), policiesCommand(), createCommand(), activateCommand(), editCommand(), validateCommand(), testCommand(), initCommand(), devCommand(), tryCommand(), evalCommand(), replCommand(), depsCommand(), historyCommand(), blameCommand(), recordCommand(), whyCommand(), fmtCommand(), lintCommand(), watchCommand(),
			replayCommand(), signCommand(), verifyCommand(), bundleCommand(),
			evaluateCommand(), evaluateFirewallCommand(), showCommand(), domainsCommand(),
		},
		HideHelpCommand: true,
		OnUsageError:    usageError,
		Action:          needsCommand,
	}
}
