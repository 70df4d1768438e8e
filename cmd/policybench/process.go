package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A peer is a program to measure, with its settings.
type peer struct {
	name    string
	program string
	env     []string
	args    func(addr, policy, home string) []string

	pinned bool // to one CPU
	cpu    int  // that CPU
}

// token authenticates the requests to the sidecar. It protects nothing: the programs listen on loopback and
// run only as long as the measurement. A shorter one would be refused.
const token = "cc58f0a1-of-policybench"

func (o options) sidecarPeer() peer {
	return peer{
		name: sidecarName, program: o.sidecar,
		env: []string{"DEFENSECLAW_GATEWAY_TOKEN=" + token},
		args: func(addr, policy, home string) []string {
			host, port, _ := net.SplitHostPort(addr)
			return []string{
				"serve", "--policy-dir", policy, "--data-dir", home, "--api-bind", host, "--api-port", port,
				"--log-level", "error", "--decision-timeout", "30s", // opa has no limit, and a busy machine is no error
			}
		},
	}
}

func (o options) opaPeer(name string, env []string, extraArgs ...string) peer {
	return peer{name: name, program: o.opa, env: env, args: func(addr, policy, _ string) []string {
		args := []string{"run", "--server", "--watch", "--addr", addr, "--log-level", "error", "--skip-version-check"}
		return append(append(args, extraArgs...), policy)
	}}
}

const (
	sidecarName = "defenseclaw"
	opaName     = "opa"
)

// A process is a running peer.
type process struct {
	peer
	addr, token string
	policy      string // directory that it serves
	cmd         *exec.Cmd
	cancel      context.CancelFunc
	exited      chan struct{} // closed when the program has exited
	log         string
}

// start starts a peer on the directory policy. It returns before the program answers. The program ends with
// ctx or by stop; the caller must call stop.
func (p peer) start(ctx context.Context, policy, home string) (*process, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	logPath := filepath.Join(home, "output.log")
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the program has its own descriptor
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, p.program, p.args(addr, policy, home)...)
	cmd.Env = append(cleanEnv(), append([]string{"HOME=" + home}, p.env...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	begin := cmd.Start
	if p.pinned {
		begin = func() error { return onCPU(p.cpu, cmd.Start) }
	}
	if err := begin(); err != nil {
		cancel()
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	r := &process{
		peer: p, addr: addr, token: token, policy: policy,
		cmd: cmd, cancel: cancel, exited: make(chan struct{}), log: logPath,
	}
	go func() {
		defer close(r.exited)
		_ = cmd.Wait() // a later request fails, and withLog adds the output to its error
	}()
	return r, nil
}

// stop terminates the program and waits for it.
func (p *process) stop() {
	p.cancel()
	<-p.exited
}

// withLog adds the end of the program's output to err.
func (p *process) withLog(err error) error {
	text, _ := os.ReadFile(p.log)
	if len(text) > 2000 {
		text = text[len(text)-2000:]
	}
	return fmt.Errorf("%s: %w; its last output: %s", p.name, err, strings.TrimSpace(string(text)))
}

func cleanEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		for _, prefix := range []string{"DEFENSECLAW_", "OPA_", "GOGC=", "GOMEMLIMIT=", "HOME="} {
			if strings.HasPrefix(v, prefix) {
				return true
			}
		}
		return false
	})
}

// freeAddr returns a loopback address with a port that was free a moment ago.
func freeAddr(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

var errNoProc = errors.New("memory and CPU time of other processes need /proc, which this system lacks")

// memory returns the current and the peak resident memory of the program in bytes.
func (p *process) memory() (now, peak float64, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, errors.Join(errNoProc, err)
	}
	defer f.Close() //nolint:errcheck // read only
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 2 {
			continue
		}
		kB, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			now = kB * 1024
		case "VmHWM:":
			peak = kB * 1024
		}
	}
	if now == 0 {
		return 0, 0, p.withLog(errors.New("the program has ended"))
	}
	return now, peak, nil
}

// cpuTicks returns the CPU time of the program in kernel ticks.
func (p *process) cpuTicks() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, errors.Join(errNoProc, err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, errNoProc
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return user + system, errors.Join(err1, err2)
}

// waitIdle waits until the program is idle, or until limit has passed. opa reloads several times for one
// save and goes on after the first reload is live.
func (p *process) waitIdle(ctx context.Context, limit time.Duration) error {
	const interval = 100 * time.Millisecond
	last, idle := -1, 0
	for until := time.Now().Add(limit); idle < 2 && time.Now().Before(until); {
		if err := sleep(ctx, interval); err != nil {
			return err
		}
		ticks, err := p.cpuTicks()
		if err != nil {
			return sleep(ctx, 5*interval)
		}
		if last >= 0 && ticks-last <= 1 {
			idle++
		} else {
			idle = 0
		}
		last = ticks
	}
	return nil
}
