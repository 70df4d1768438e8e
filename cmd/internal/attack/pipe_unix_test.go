//go:build unix

package attack_test

import "syscall"

// makePipe makes a named pipe, which blocks who opens it.
func makePipe(path string) error { return syscall.Mkfifo(path, 0o600) }
