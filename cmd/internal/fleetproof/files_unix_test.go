//go:build unix

package fleetproof_test

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// allowFiles lets this process, and brokers that it starts, open n files at once.
func allowFiles(n int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	want := unix.Rlimit{Cur: max(limit.Cur, uint64(n)), Max: max(limit.Max, uint64(n))} //nolint:gosec // it is positive
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &want); err != nil {
		return fmt.Errorf("they need %d open files, and %d are allowed (%w): raise the limit, as root with `ulimit -n %d`", n, limit.Max, err, n)
	}
	return nil
}
