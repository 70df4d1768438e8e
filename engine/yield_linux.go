package engine

import "syscall"

// yieldProcessor lets the threads run that wait for the processor of this one.
func yieldProcessor() {
	_, _, _ = syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) // sched_yield(2): on Linux it always succeeds
}
