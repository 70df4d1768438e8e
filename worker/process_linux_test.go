package worker_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/worker"
)

// sidecarProcess prints the processes of its pool, and waits.
func sidecarProcess() {
	g, err := engine.Load(context.Background(), fstest.MapFS{"p.rego": {Data: []byte("package p\nx := 1")}}, nil)
	if err != nil {
		panic(err)
	}
	p, err := worker.New(worker.Config{Current: func() *engine.Generation { return g }})
	if err != nil {
		panic(err)
	}
	go func() {
		for p.Health().Processes < 2 {
			time.Sleep(5 * time.Millisecond)
		}
		children, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
		fmt.Println("workers", string(children), err)
	}()
	_ = p.Run(context.Background())
}

// TestProcessesEndWithTheSidecar kills a sidecar whose workers are stopped, and so see nothing.
func TestProcessesEndWithTheSidecar(t *testing.T) {
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
	workers := childrenOf(t, sidecar.Process.Pid)
	if len(workers) != 2 {
		t.Fatalf("workers %v; the sidecar said %q", workers, line)
	}
	for _, pid := range workers {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	if err := sidecar.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = sidecar.Wait()
	for _, pid := range workers {
		for end := time.Now().Add(patience); alive(pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the worker %d outlives its sidecar", pid)
			}
		}
	}
}

// childrenOf finds the processes that any thread of a process started.
func childrenOf(t *testing.T, parent int) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if ppid, _ := stat(pid); ppid == parent {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat returns the parent and the state of a process.
func stat(pid int) (ppid int, state string) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, ""
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	ppid, _ = strconv.Atoi(fields[1])
	return ppid, fields[0]
}

func alive(pid int) bool {
	_, state := stat(pid)
	return state != "" && state != "Z"
}

func TestAProcessHasALimitOfMemory(t *testing.T) {
	needsLimits(t)
	p := start(t, func(cfg *worker.Config) { cfg.MemoryBytes = 64 << 20 })
	p.bothReady()
	if got, err := p.ask("/memory"); err == nil {
		t.Errorf("a gigabyte: %s", got)
	}
	if ends := p.ends(); len(ends) != 1 || ends[0].Reason != worker.Died {
		t.Errorf("ended %+v", ends)
	}
	if _, err := p.ask("/revision"); err != nil {
		t.Errorf("the next: %v", err)
	}
}

func TestAKilledProcessIsReplaced(t *testing.T) {
	p := start(t, nil)
	for range 3 {
		p.bothReady()
		text, err := p.ask("/pid")
		if err != nil {
			t.Fatal(err)
		}
		pid, _ := strconv.Atoi(text)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.eventually("another process", func() bool { got, err := p.ask("/pid"); return err == nil && got != text })
	}
	p.eventually("three ends", func() bool { return p.Health().Ended["killed"] == 3 })
	for _, e := range p.ends() {
		if e.Reason != worker.Killed {
			t.Errorf("ended %+v", e)
		}
	}
}

func TestAProcessThatCannotLoadThePolicySaysSo(t *testing.T) {
	needsLimits(t)
	p := start(t, func(cfg *worker.Config) { cfg.MemoryBytes, cfg.Idle = 1, time.Hour })
	p.edit("[" + strings.Repeat("[],", 2_000_000) + "1]")
	_, err := p.ask("/revision")
	if _, ok := engine.RetryAfter(err); !ok || !strings.Contains(err.Error(), "ended while it loaded the policy") {
		t.Errorf("%v", err)
	}
	p.eventually("an end that is told", func() bool { return len(p.ends()) > 0 }) // the answer may come before it
	if ends := p.ends(); ends[0].Reason != worker.Unready {
		t.Errorf("ended %+v", ends)
	}
}

func needsLimits(t *testing.T) {
	t.Helper()
	if underRace {
		t.Skip("under the race detector, no process starts within the limit")
	}
}
