package testrun_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/testrun"
)

func process(as string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asVariable+"="+as)
	return cmd
}

func TestACrashOfTheRunIsAnErrorAndNoOutput(t *testing.T) {
	for as, want := range map[string]string{
		"panics": "panic: in a builtin", "overflows": "fatal error: stack overflow", "is killed": "signal: killed",
	} {
		output, _, err := testrun.Supervise(t.Context(), process(as), io.Discard, time.Minute)
		if err == nil || !strings.Contains(err.Error(), want) || output != nil {
			t.Errorf("a process that %s: %v, output %q", as, err, output)
		}
	}
}

func TestTheOutputOfARunThatEndsIsKept(t *testing.T) {
	output, code, err := testrun.Supervise(t.Context(), process("ends"), io.Discard, time.Minute)
	if err != nil || code != 1 || string(output) != "[]" {
		t.Errorf("%v, exit code %d, output %q", err, code, output)
	}
}

func TestAnInterruptedRunIsToldToEndAndKilledIfItDoesNot(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	output, code, err := testrun.Supervise(ctx, process("ends when told"), whenWritten(cancel), time.Minute)
	if err != nil || code != 1 || string(output) != "[]" {
		t.Errorf("%v, exit code %d, output %q", err, code, output)
	}
	ctx, cancel = context.WithCancel(t.Context())
	if output, _, err = testrun.Supervise(ctx, process("hangs"), whenWritten(cancel), 100*time.Millisecond); err == nil || output != nil {
		t.Errorf("a process that hangs: %v, output %q", err, output)
	}
}

// whenWritten is called at each write.
type whenWritten func()

func (f whenWritten) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}
