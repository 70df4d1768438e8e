package gcpacer

import (
	"cmp"

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
	container, err := memlimit.FromCgroup()
	own := processLimit()
	if err != nil || own != 0 && own < container {
		return own
	}
	return container
}
