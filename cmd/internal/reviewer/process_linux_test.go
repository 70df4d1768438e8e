package reviewer_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"defenseclaw/cmd/internal/reviewer"
)

func killSelf() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }
func stopSelf() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) }

// sidecarProcess reviews once, prints the process that did, and waits.
func sidecarProcess() {
	r := reviewer.New(reviewer.Config{Steps: steps()})
	go func() { _ = r.Run(context.Background()) }()
	t := new(testing.T)
	base := load(t, `{}`, nil)
	r.Review(context.Background(), base, load(t, `{"x":1}`, base), reviewer.Ask{Steps: []string{reviewer.Tests}})
	fmt.Println(r.Health().PID)
	r.Review(context.Background(), base, load(t, `{"tests":"stop"}`, base), reviewer.Ask{Steps: []string{reviewer.Tests}})
}

// TestTheProcessEndsWithTheSidecar kills a sidecar whose reviewer is stopped, and so sees nothing.
func TestTheProcessEndsWithTheSidecar(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sidecar := exec.Command(self)
	sidecar.Env = append(os.Environ(), sidecarVariable+"=1")
	out, err := sidecar.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sidecar.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(line)
	for end := time.Now().Add(patience); state(pid) != "T"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %q is in state %q", pid, state(pid))
		}
	}
	if err := sidecar.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = sidecar.Wait()
	for end := time.Now().Add(patience); state(pid) != "" && state(pid) != "Z"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the reviewer %s outlives its sidecar", pid)
		}
	}
}

// fields are those of /proc/…/stat behind the name, from the third.
func fields(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}

func state(pid string) string {
	if f := fields("/proc/" + pid + "/stat"); f != nil {
		return f[0]
	}
	return ""
}

func TestEveryThreadHasTheLowestPriority(t *testing.T) {
	r := start(t, nil)
	r.review(`{}`)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", r.Health().PID))
	if err != nil || len(threads) == 0 {
		t.Fatal(threads, err)
	}
	for _, thread := range threads {
		const nice = 16 // the 19th field
		if f := fields(thread); f != nil && f[nice] != "19" {
			t.Errorf("%s: %s", thread, f[nice])
		}
	}
}

func TestItHasNoDescriptorsButItsPipes(t *testing.T) {
	mine, err := os.Create(filepath.Join(t.TempDir(), "a file of the sidecar"))
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	r := start(t, nil)
	r.review(`{}`)
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", r.Health().PID))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		to, err := os.Readlink(fd) // Go's runtime has some of its own
		if err == nil && (strings.HasPrefix(to, "socket:") || to == mine.Name()) {
			t.Errorf("%s is %s", fd, to)
		}
	}
}

func TestItHasALimitOfMemory(t *testing.T) {
	if underRace {
		t.Skip("under the race detector, no process starts within the limit")
	}
	r := start(t, func(cfg *reviewer.Config) { cfg.MemoryBytes = 64 << 20 })
	e := r.review(`{"replay":"memory"}`)
	if len(e.Incomplete) != 1 || e.Incomplete[0] != "replay: the reviewer had no memory left: its limit is 64 MiB (--safety-reviewer-memory-bytes)" {
		t.Errorf("%+v; ended %+v", e.Incomplete, r.ends())
	}
}

func TestAPolicyThatDoesNotFitIsIncomplete(t *testing.T) {
	if underRace {
		t.Skip("under the race detector, no process starts within the limit")
	}
	r := start(t, func(cfg *reviewer.Config) { cfg.MemoryBytes = 1 })
	e := r.review(`{"many": [` + strings.Repeat("[],", 2_000_000) + `1]}`)
	if len(e.Incomplete) != 3 || !strings.Contains(e.Incomplete[0], "no memory left") || !strings.HasSuffix(e.Incomplete[2], "while it was given the policy") {
		t.Errorf("%q; ended %+v", e.Incomplete, r.ends())
	}
}

// TestWhatIsKilledFromOutsideIsReplaced kills the process between reviews.
func TestWhatIsKilledFromOutsideIsReplaced(t *testing.T) {
	r := start(t, nil)
	for n := range 3 {
		if e := r.review(`{}`); len(e.Incomplete) > 0 {
			t.Fatalf("review %d: %+v", n, e)
		}
		if err := syscall.Kill(r.Health().PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.eventually("accounted for", func() bool { return len(r.ends()) == n+1 })
		if h := r.Health(); h.Up || !strings.Contains(h.Failure, "killed") {
			t.Errorf("%+v", h)
		}
	}
}
