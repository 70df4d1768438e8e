package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/client"
)

// program is the built sidecar. Where there is none, what needs one is skipped: the module may be used without the repository.
var program string

const policy = `package app

default allow := false

allow if input.user == "ada"

roles := ["admin", "dev"] if input.user == "ada"

divided := 1 / input.by if input.by != 0

divided := x if {
	input.by == 0
	some x in [1, 2]
}

word := "yes"

never if false
`

// TestMain builds the sidecar, and starts one in the home that DEFENSECLAW_HOME names, for the examples too.
func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "client")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "DEFENSECLAW_") || name == "OPENCLAW_GATEWAY_TOKEN" || name == "CREDENTIALS_DIRECTORY" {
			_ = os.Unsetenv(name)
		}
	}
	if _, err := os.Stat("../cmd/defenseclaw-gateway"); err == nil {
		program = filepath.Join(dir, "gateway")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./cmd/defenseclaw-gateway")
		build.Dir = ".."
		if output, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the sidecar: %v\n%s", err, output)
			return 1
		}
		stop, err := serve(filepath.Join(dir, "home"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer stop()
		_ = os.Setenv("DEFENSECLAW_HOME", filepath.Join(dir, "home"))
	}
	return m.Run()
}

// serve starts a sidecar and waits until it decides.
func serve(home string, args ...string) (stop func(), err error) {
	pack := filepath.Join(home, "pack")
	if err := errors.Join(os.MkdirAll(pack, 0o700), os.WriteFile(filepath.Join(pack, "app.rego"), []byte(policy), 0o600)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	sidecar := exec.CommandContext(ctx, program, append([]string{"serve", "--policy-dir", pack, "--api-port", "0"}, args...)...)
	var log bytes.Buffer
	sidecar.Stdout, sidecar.Stderr = &log, &log
	sidecar.Env = append(os.Environ(), "DEFENSECLAW_HOME="+home)
	if err := sidecar.Start(); err != nil {
		cancel()
		return nil, err
	}
	stop = func() { cancel(); _ = sidecar.Wait() }
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		c, err := client.New(client.Config{Home: home})
		if err != nil { // it is not written yet
			continue
		}
		allowed, err := c.Allowed(ctx, "app/allow", map[string]any{"user": "ada"})
		c.Close()
		if err == nil && allowed {
			return stop, nil
		}
	}
	stop()
	return nil, fmt.Errorf("the sidecar does not decide:\n%s", log.String())
}

// need skips a test where there is no sidecar to ask.
func need(t *testing.T) {
	t.Helper()
	if program == "" {
		t.Skip("SKIPPED: the sidecar's sources are not here")
	}
}

// open is a client that is closed with the test.
func open(t *testing.T, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
