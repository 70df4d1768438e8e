//go:build unix

package child

import "syscall"

// lowest is the priority that anything else on the machine goes before.
const lowest = 19

// StepBack gives all threads of a process the lowest priority: of process pid, which [Start] started with Background,
// or, with 0, of this one. A priority is of a thread, and a thread has that of the one that started it: so the starter
// calls it when there is one thread or few, and the process once more when it begins to serve.
func StepBack(pid int) {
	_ = syscall.Setpriority(syscall.PRIO_PGRP, pid, lowest) // without it, it competes with the others
}
