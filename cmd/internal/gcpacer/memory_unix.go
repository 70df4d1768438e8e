//go:build unix

package gcpacer

import (
	"math"
	"syscall"
)

// processLimit is the limit of this process's memory (ulimit -d, ulimit -v), in bytes; 0 if there is none.
func processLimit() uint64 {
	least := uint64(0)
	for _, resource := range []int{syscall.RLIMIT_DATA, syscall.RLIMIT_AS} {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(resource, &limit); err != nil {
			continue
		}
		n := uint64(limit.Cur)                              //nolint:unconvert // it is an int64 on FreeBSD
		if n < math.MaxInt64 && (least == 0 || n < least) { // an unlimited one is as large as can be
			least = n
		}
	}
	return least
}
