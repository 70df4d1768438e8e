package attack_test

import (
	"fmt"
	"os"
	"syscall"
)

// limitedName is the name under which this test binary runs a program, its first argument, with limited memory.
const limitedName = "limited"

// runLimited replaces this process by the program that its arguments name, which gets at most memoryLimit bytes of
// private memory, as do the processes that it starts.
func runLimited() {
	limit := syscall.Rlimit{Cur: memoryLimit, Max: memoryLimit}
	err := syscall.Setrlimit(syscall.RLIMIT_DATA, &limit)
	if err == nil {
		err = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "run with limited memory:", err)
	os.Exit(1)
}
