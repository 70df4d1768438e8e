package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Config says how a process starts.
type Config struct {
	Args []string // behind the name of the program; never a secret: every user of the machine sees them
	Env  []string // NAME=value, in addition to the variables of Go's runtime

	// Background gives the process the lowest priority, on Unix, and a process group of its own.
	Background bool
}

// Process is a process that this one started. All methods are safe for concurrent use.
type Process struct {
	Client *rpc.Client

	cmd    *exec.Cmd
	kill   context.CancelFunc // may be called at any time, and more than once
	stderr *head
	gone   chan struct{} // closed when the process has ended
	turn   chan struct{} // holds a value while a call of [Process.Call] is under way
	calls  uint64        // guarded by turn

	mu    sync.Mutex // guards the fields below
	ended bool       // no work begins any more
	hung  bool       // see [Hung]
	work  sync.WaitGroup
}

// Start starts a process, which ends when ctx does. On Linux, it is also killed when the thread ends that started it:
// the caller is locked to its thread until the process has ended. The caller calls Wait.
func Start(ctx context.Context, cfg Config) (_ *Process, err error) {
	path, err := executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	var pipes [4]*os.File // the process reads from 0 what is written to 1, and writes to 3 what is read from 2
	defer func() {
		for i, f := range pipes {
			if f != nil && (err != nil || i == 0 || i == 3) { //nolint:mnd // see above
				f.Close() //nolint:errcheck // not written to
			}
		}
	}()
	if pipes[0], pipes[1], err = os.Pipe(); err != nil {
		return nil, err
	}
	if pipes[2], pipes[3], err = os.Pipe(); err != nil {
		return nil, err
	}
	ctx, kill := context.WithCancel(ctx)
	p := &Process{kill: kill, stderr: new(head), turn: make(chan struct{}, 1), gone: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, path)
	p.cmd.Args = append([]string{os.Args[0]}, cfg.Args...) // the name by which a test binary is a command
	p.cmd.Dir = string(os.PathSeparator)
	p.cmd.Env = environment(cfg.Env, os.LookupEnv)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = pipes[0], pipes[3], p.stderr
	p.cmd.SysProcAttr = attributes(cfg.Background)
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		kill()
		return nil, err
	}
	if cfg.Background {
		StepBack(p.cmd.Process.Pid)
	}
	p.Client = rpc.NewClient(duplex{pipes[2], pipes[1]})
	return p, nil
}

// passed are the variables that a process has from its starter's environment: those of Go's runtime.
var passed = []string{"GOGC", "GOMAXPROCS", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR", "ZONEINFO"}

func environment(own []string, lookup func(string) (string, bool)) []string {
	env := append([]string{}, own...) // never nil, which would be everything
	for _, name := range passed {
		if value, ok := lookup(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process, in any state.
func (p *Process) Kill() { p.kill() }

// Gone is closed when the process has ended.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Reason is why a process ended.
type Reason string

// The reasons that [Process.Wait] finds.
const (
	Died   Reason = "died"   // by itself: a fatal error of Go's, such as a stack overflow or lack of memory
	Killed Reason = "killed" // by a signal
	Hung   Reason = "hung"   // it did not end a call that it was told to end
)

// Wait waits until the process has ended, and says how: detail is what the operating system and Go say. It ends every
// call. Call it once.
func (p *Process) Wait() (reason Reason, detail string) {
	err := p.cmd.Wait()
	p.kill()
	_ = p.Client.Close() // the process has gone
	p.mu.Lock()
	p.ended = true
	hung := p.hung
	p.mu.Unlock()
	close(p.gone)
	p.work.Wait()
	reason, detail = Died, "it ended"
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		detail = exit.String()
		switch {
		case hung:
			reason = Hung
		case exit.ExitCode() < 0:
			reason = Killed
		}
	}
	if said := p.stderr.String(); said != "" {
		detail += ": " + said
	}
	return reason, detail
}

// duplex is the two pipes between a process and its starter.
type duplex struct {
	io.ReadCloser
	w io.WriteCloser
}

func (d duplex) Write(b []byte) (int, error) { return d.w.Write(b) }
func (d duplex) Close() error                { return errors.Join(d.ReadCloser.Close(), d.w.Close()) }

// head keeps the begin of what a process writes to standard error, where Go says why it ended.
type head struct {
	mu   sync.Mutex
	text strings.Builder
}

const maxHeadBytes = 1 << 10

// Write never fails: a process must not wait for it.
func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text.Write(b[:min(len(b), maxHeadBytes-h.text.Len())])
	return len(b), nil
}

// String is the first lines, up to the trace.
func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	text, _, _ := strings.Cut(h.text.String(), "\n\n")
	return strings.Join(strings.Fields(text), " ")
}
