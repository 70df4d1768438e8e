package gcpacer

import (
	"cmp"
	"math"
	"runtime/debug"
	"sync"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Memory returns how much memory this process may take, in bytes: the limit of its container or of the process
// itself, and where it has none the machine's memory. 0 means unknown.
func Memory() uint64 {
	machine, err := memlimit.FromSystem()
	if err != nil {
		machine = 0
	}
	return cmp.Or(limit(), machine)
}

// limit is the least of the limits that end the process when it takes more memory, in bytes; 0 if there is none.
func limit() uint64 {
	container, own := container(), processLimit()
	if container == 0 || own != 0 && own < container {
		return own
	}
	return container
}

// container is the limit of the container when it was first asked for, in bytes; 0 if there is none. A start asks several
// times, and each look reads and parses the files of /proc and /sys, which took 0.3 ms.
var container = sync.OnceValue(func() uint64 {
	limit, err := memlimit.FromCgroup()
	if err != nil {
		return 0
	}
	return limit
})

// ForPolicy returns how much memory a policy may take once it is loaded: half of [Memory], or of GOMEMLIMIT where that is less.
// 0 means unknown.
func ForPolicy(getenv func(string) string) int64 {
	memory := Memory()
	if getenv("GOMEMLIMIT") != "" {
		const ask = -1
		if limit := debug.SetMemoryLimit(ask); limit > 0 && limit < math.MaxInt64 && (memory == 0 || uint64(limit) < memory) {
			memory = uint64(limit)
		}
	}
	return int64(min(memory/2, math.MaxInt64)) //nolint:gosec // it is bounded
}
