//go:build !unix

package cli

import (
	"errors"
	"os"
	"os/exec"
)

// become runs another program, and ends as it does.
func become(program string, args []string) error {
	child := exec.Command(program, args[1:]...)                              //nolint:gosec,noctx // the program beside this one; it gets the console's interrupts
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr //nolint:forbidigo // it is the command
	err := child.Run()
	if ended := new(exec.ExitError); errors.As(err, &ended) {
		return &exitError{code: ended.ExitCode()}
	}
	return err
}
