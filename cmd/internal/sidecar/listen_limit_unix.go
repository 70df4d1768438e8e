//go:build unix

package sidecar

import (
	"math"
	"syscall"
)

// descriptorLimit is how many descriptors this process may have open; math.MaxInt if that is unlimited. Go
// has raised the soft limit to the hard one when the program started.
func descriptorLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt
	}
	return int(limit.Cur)
}
