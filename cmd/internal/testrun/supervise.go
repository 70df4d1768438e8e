package testrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"syscall"
	"time"
)

// Supervise runs cmd, which runs tests in a process of its own, and returns what that printed on standard
// output and its exit code. When ctx ends, it tells the process to end, and kills it if it has not ended grace
// later. If the process crashed or was killed there is an error and no output: what it left is no document of
// any format. Standard error is passed on.
func Supervise(ctx context.Context, cmd *exec.Cmd, stderr io.Writer, grace time.Duration) (output []byte, code int, err error) {
	var out bytes.Buffer
	said := &head{}
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(stderr, said)
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	ended := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop(ctx, cmd, grace, ended)
	}()
	err = cmd.Wait()
	close(ended)
	<-stopped
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.Bytes(), 0, nil
	case !errors.As(err, &exit):
		return nil, 0, err
	case exit.ExitCode() >= 0 && exit.ExitCode() != crashCode:
		return out.Bytes(), exit.ExitCode(), nil
	case ctx.Err() != nil:
		return nil, 0, errors.New("interrupted: the tests did not end in time")
	}
	if reason := crash.Find(said.Bytes()); reason != nil {
		return nil, 0, fmt.Errorf("the run of the tests crashed: %s", reason)
	}
	return nil, 0, fmt.Errorf("the run of the tests crashed: %w", err)
}

// crashCode is the exit code of Go programs that crash.
const crashCode = 2

// crash matches the line in which Go says why a program crashed.
var crash = regexp.MustCompile(`(?m)^(?:panic|fatal error): .*`)

func stop(ctx context.Context, cmd *exec.Cmd, grace time.Duration, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	if cmd.Process.Signal(syscall.SIGTERM) == nil {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-ended:
			return
		case <-timer.C:
		}
	}
	_ = cmd.Process.Kill() // it may have ended just now
}

// head keeps the first bytes that are written.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	const limit = 1 << 20
	h.Buffer.Write(p[:min(len(p), max(0, limit-h.Len()))])
	return len(p), nil
}
