package child

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Serving prepares a process that [Start] started: it lives on through the signals that a terminal and systemd send to
// all processes of the sidecar, which drains and needs it for that; aims at memoryBytes, and on Linux is bounded by them,
// unless they are 0; and prints nothing but to standard error. It returns the pipes to the starter.
func Serving(memoryBytes int64) (io.ReadWriteCloser, error) {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if memoryBytes > 0 {
		debug.SetMemoryLimit(memoryBytes)
		if err := limitMemory(memoryBytes); err != nil {
			return nil, fmt.Errorf("limit the memory to %d bytes: %w", memoryBytes, err)
		}
	}
	out := os.Stdout      //nolint:forbidigo // the pipe to the starter
	os.Stdout = os.Stderr //nolint:forbidigo // what anything prints must not mix with answers
	return duplex{os.Stdin, out}, nil
}
