package examples_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"defenseclaw/cmd/internal/testutil"
)

// A sidecar is the program, serving.
type sidecar struct {
	home string // its data directory
	addr string
}

// start serves a policy directory until the test ends.
func start(t *testing.T, policy string, args ...string) *sidecar {
	t.Helper()
	home := short(t) // its socket's path has a limit
	var output testutil.Buffer
	ctx, cancel := context.WithCancel(context.Background()) // not the test's, which ends before it stops cleanly
	cmd := program(ctx, append([]string{"serve", "--policy-dir", policy, "--data-dir", home, "--api-port", "0"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the sidecar ended with %v", err)
		}
		if t.Failed() {
			t.Logf("the sidecar said:\n%s", output.String())
		}
	})
	var published struct {
		Addr string `json:"api_addr"`
	}
	if !testutil.Eventually(func() bool {
		text, err := os.ReadFile(filepath.Join(home, "gateway.json"))
		return err == nil && json.Unmarshal(text, &published) == nil && strings.Contains(output.String(), "policy reloaded")
	}) {
		t.Fatalf("the sidecar does not serve:\n%s", output.String())
	}
	return &sidecar{home: home, addr: published.Addr}
}

// program returns the program with arguments, unaffected by the settings of whoever runs the tests.
func program(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(environment(), programVariable+"=1")
	return cmd
}

// environment is that of this process without settings of the program.
func environment() []string {
	env := []string{"NO_COLOR=1", "GORACE=atexit_sleep_ms=0"}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "DEFENSECLAW_") && !strings.HasPrefix(entry, "OPENCLAW_") {
			env = append(env, entry)
		}
	}
	return env
}

// onPath returns a folder in which the program has its names.
func onPath(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"defenseclaw", "defenseclaw-gateway"} {
		text := fmt.Sprintf("#!/bin/sh\nexec env %s=1 GORACE=atexit_sleep_ms=0 %q \"$@\"\n", programVariable, self)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil { //nolint:gosec // it is a program
			t.Fatal(err)
		}
	}
	return dir
}

// needs skips a test, aloud, where a program that the example is for is not here.
func needs(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("SKIPPED: the example is not run: %v", err)
	}
	return path
}

// An outcome is what a program printed, and how it ended.
type outcome struct {
	stdout, stderr string
	code           int
}

func (o outcome) String() string {
	return fmt.Sprintf("exit %d\nstdout: %s\nstderr: %s", o.code, o.stdout, o.stderr)
}

// run runs a command to its end.
func run(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}
