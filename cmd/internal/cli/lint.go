package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

// exitMissing is the shell's own code for a program that is not there.
const exitMissing = 127

func lintCommand() *cli.Command {
	return &cli.Command{
		Name: "lint",
		Usage: "name what nothing uses, what METADATA schemas rule out and conditions that a missing field may leave open, and run regal, " +
			"the linter for Rego; exits with its exit code, or with 127 if it is not installed",
		ArgsUsage:    "[FILE or DIR…]",
		Flags:        []cli.Flag{regoDirFlag()},
		Action:       lint,
		OnUsageError: usageError,
	}
}

func lint(c *cli.Context) error {
	paths, err := pathsHere(c)
	if err != nil {
		return err
	}
	wrong, err := hints(c.Context, c.App.Writer, paths)
	if err != nil {
		return err
	}
	regal, err := exec.LookPath("regal")
	if err != nil {
		return &exitError{code: exitMissing, err: errors.New("regal is not on the PATH: " +
			"install it with `go install github.com/open-policy-agent/regal@latest`, or see https://www.openpolicyagent.org/projects/regal")}
	}
	command := exec.CommandContext(c.Context, regal, append([]string{"lint", "--"}, paths...)...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, c.App.Writer, c.App.ErrWriter
	err = command.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return &exitError{code: ended.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("run regal: %w", err)
	}
	if wrong > 0 {
		return fmt.Errorf("%s that policy validate finds as well", terminal.Count(wrong, "problem"))
	}
	return nil
}
