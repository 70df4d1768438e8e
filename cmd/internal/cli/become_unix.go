//go:build unix

package cli

import (
	"os"
	"syscall"
)

// become replaces this process by another program.
func become(program string, args []string) error {
	return syscall.Exec(program, args, os.Environ()) //nolint:gosec // the program beside this one
}
