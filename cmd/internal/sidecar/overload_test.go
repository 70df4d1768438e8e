//go:build unix

package sidecar_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/cmd/internal/testutil"

	"go.uber.org/zap"
)

func init() { runChild = serveWithFewDescriptors }

// serveWithFewDescriptors runs a sidecar in this process, which may have this many descriptors. It obeys the
// lines on standard input: after hold the process can open nothing more, after free it can again. At the end of
// the input the sidecar stops.
func serveWithFewDescriptors(descriptors string) {
	n, err := strconv.ParseUint(descriptors, 10, 32)
	exitOn(err)
	exitOn(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}))
	set, err := settings.Resolve(func(string) (string, bool) { return "", false }, os.Getenv)
	exitOn(err)
	logger, err := zap.NewProduction()
	exitOn(err)
	s, err := sidecar.New(sidecar.Config{Settings: set, Logger: logger})
	exitOn(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func() { fmt.Println(s.Addr()) }) }()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); fmt.Println("done") {
		limit := syscall.Rlimit{Cur: n, Max: n}
		if in.Text() == "hold" {
			limit.Cur = 0
		}
		exitOn(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	}
	stop()
	exitOn(<-done)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is a sidecar in a process of its own.
type child struct {
	t      *testing.T
	policy string // the file p.rego
	addr   string
	in     io.Writer
	out    *bufio.Scanner
}

// startChild starts a sidecar that may have this many descriptors, on a policy with data.p.x = 1.
func startChild(t *testing.T, descriptors int) *child {
	t.Helper()
	top := t.TempDir()
	c := &child{t: t, policy: filepath.Join(top, "pol", "p.rego")}
	if err := os.Mkdir(filepath.Dir(c.policy), 0o700); err != nil {
		t.Fatal(err)
	}
	c.write(1)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+strconv.Itoa(descriptors), "DEFENSECLAW_HOME="+filepath.Join(top, "state"),
		"DEFENSECLAW_POLICY_DIR="+filepath.Dir(c.policy), "DEFENSECLAW_API_PORT=0", "DEFENSECLAW_GATEWAY_TOKEN="+token)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the sidecar ended: %v", err)
		}
	})
	c.in, c.out = in, bufio.NewScanner(out)
	c.addr = c.line()
	return c
}

// line is the next line that the sidecar's process writes.
func (c *child) line() string {
	c.t.Helper()
	if !c.out.Scan() {
		c.t.Fatal("the sidecar's process has ended")
	}
	return c.out.Text()
}

// tell has the process do something, and waits until it is done.
func (c *child) tell(what string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, what); err != nil {
		c.t.Fatal(err)
	}
	c.line()
}

func (c *child) write(x int) {
	c.t.Helper()
	replace(c.t, c.policy, fmt.Appendf(nil, "package p\nx := %d\n", x))
}

// decide asks for data.p.x by a connection of its own.
func (c *child) decide() (string, error) { return c.ask(http.MethodPost, "/v1/data/p/x", `{}`) }

// ask sends a request with the token by a connection of its own.
func (c *child) ask(method, path, body string) (string, error) {
	return c.askBy(&http.Transport{DisableKeepAlives: true}, method, path, body)
}

func (c *child) askBy(transport *http.Transport, method, path, body string) (string, error) {
	client := http.Client{Transport: transport, Timeout: testutil.Patience}
	r, err := http.NewRequestWithContext(c.t.Context(), method, "http://"+c.addr+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// metric is the value of a series.
func (c *child) metric(series string) (value string) {
	c.t.Helper()
	wait(c.t, series, func() bool {
		text, err := c.ask(http.MethodGet, "/metrics", "")
		_, rest, found := strings.Cut(text, series+" ")
		value, _, _ = strings.Cut(rest, "\n")
		return err == nil && found
	})
	return value
}

// serves waits until a decision by a new connection says that x serves.
func (c *child) serves(x int) {
	c.t.Helper()
	want := fmt.Sprintf(`"result":%d`, x)
	wait(c.t, fmt.Sprintf("x is %d", x), func() bool {
		answer, err := c.decide() // a try may meet a full queue
		return err == nil && strings.Contains(answer, want)
	})
}

// flood keeps connections open and says nothing on them, until the test ends. The sidecar has seen each when it
// returns.
func (c *child) flood(n int) {
	c.t.Helper()
	ctx, stop := context.WithCancel(c.t.Context())
	var open, done sync.WaitGroup
	open.Add(n)
	for range n {
		done.Go(func() {
			first := sync.OnceFunc(open.Done)
			for ctx.Err() == nil {
				conn, err := net.Dial("tcp", c.addr)
				if err != nil {
					continue
				}
				first()
				ended := context.AfterFunc(ctx, func() { conn.Close() })
				_, _ = io.Copy(io.Discard, conn) // until the sidecar closes it
				ended()
				conn.Close()
			}
		})
	}
	open.Wait()
	c.t.Cleanup(func() { stop(); done.Wait() })
}

// TestIdleConnectionsLockNobodyOut: more connections without a token than the process may have descriptors, and
// each that is closed comes again.
func TestIdleConnectionsLockNobodyOut(t *testing.T) {
	c := startChild(t, 128)
	c.flood(400)
	c.serves(1)
	c.write(2)
	c.serves(2)
	if got := c.metric(`defenseclaw_policy_reloads_total{policy_status="failed"}`); got != "0" {
		t.Errorf("%s reloads were refused", got)
	}
	if got := c.metric(`defenseclaw_connections_rejected_total{reason="room"}`); got == "0" {
		t.Error("no connection made room, so this tested nothing")
	}
}

// TestAnEditWaitsForDescriptors: while the process has none left, what serves is not stale, and the edit serves
// once there are some.
func TestAnEditWaitsForDescriptors(t *testing.T) {
	t.Setenv("DEFENSECLAW_SAFETY_INTERVAL", "100ms")
	c := startChild(t, 128)
	open := &http.Transport{}
	defer open.CloseIdleConnections()
	c.serves(1)
	if _, err := c.askBy(open, http.MethodGet, "/policy/status", ""); err != nil {
		t.Fatal(err)
	}
	c.tell("hold")
	c.write(2)
	wait(t, "the watch says what it lacks", func() bool {
		status, err := c.askBy(open, http.MethodGet, "/policy/status", "")
		if err != nil || !strings.Contains(status, `"state":"current"`) {
			t.Fatal(status, err)
		}
		return strings.Contains(status, "no file descriptor is left to list .")
	})
	c.tell("free")
	c.serves(2)
	if got := c.metric(`defenseclaw_policy_reloads_total{policy_status="failed"}`); got != "0" {
		t.Errorf("%s reloads were refused", got)
	}
}
