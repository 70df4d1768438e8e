package testrun_test

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asVariable makes this binary a process for the tests of Supervise.
const asVariable = "TESTRUN_TEST_AS"

func TestMain(m *testing.M) {
	if as := os.Getenv(asVariable); as != "" {
		os.Exit(supervised(as))
	}
	goleak.VerifyTestMain(m)
}

func supervised(as string) int {
	fmt.Print("[")
	switch as {
	case "panics":
		go func() { panic("in a builtin") }()
		time.Sleep(time.Hour) // the panic ends the process
	case "overflows":
		debug.SetMaxStack(1 << 20)
		fmt.Print(overflow(0))
	case "is killed":
		self, _ := os.FindProcess(os.Getpid())
		_ = self.Kill()
		time.Sleep(time.Hour)
	case "hangs":
		signal.Ignore(syscall.SIGTERM)
		fmt.Fprintln(os.Stderr, "ready")
		time.Sleep(time.Hour)
	case "ends when told":
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGTERM)
		fmt.Fprintln(os.Stderr, "ready")
		<-told
	}
	fmt.Print("]")
	return 1
}

func overflow(n int) int {
	if n < 0 {
		return 0
	}
	return overflow(n+1) + 1
}
