package turns

import "syscall"

// yieldProcessor lets threads that wait for this thread's processor run first.
func yieldProcessor() {
	_, _, _ = syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) // sched_yield(2): on Linux it always succeeds
}
