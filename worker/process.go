package worker

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

	"defenseclaw/engine"
)

// process is one worker, from its start to its end.
type process struct {
	cmd       *exec.Cmd
	client    *rpc.Client
	kill      context.CancelFunc // may be called at any time, and more than once
	stderr    *head
	places    int            // evaluations that one caller can have it make at once
	accounted chan struct{}  // closed when it has ended, and what it was evaluating is on record
	work      sync.WaitGroup // goroutines that talk with it

	giving sync.Mutex // held while it is given a generation
	given  *engine.Generation

	mu *sync.Mutex // the pool's; it guards the fields below

	ready   bool // it holds a generation
	gone    bool // it has ended: nothing begins any more
	alone   bool // it evaluates a suspect, and nothing else
	asked   bool // it was asked something
	hanging int
	ended   ending // why the pool ended it; empty: it did not
	calls   map[*call]struct{}
	loads   []*loading // what it holds or is given, the newest last
}

// free reports whether a call may begin. mu is held.
func (pr *process) free() bool { return pr != nil && pr.ready && pr.ended == "" && !pr.alone }

// ending is why the pool ends a process.
type ending string

const (
	idle ending = "idle"
	hung ending = "hung"
)

// loading is a generation that a process is given, or holds.
type loading struct {
	number uint64
	done   chan struct{}
	err    error // after done
}

// held is how many generations a process holds: the one that serves, and the one before for what is under way.
const held = 2

// start starts a process. It ends when ctx does.
func (p *Pool) start(ctx context.Context) (_ *process, err error) {
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
	pr := &process{
		kill: kill, stderr: new(head), places: engine.Places(p.cfg.Decisions), mu: &p.mu,
		accounted: make(chan struct{}), calls: map[*call]struct{}{},
	}
	pr.cmd = exec.CommandContext(ctx, path)
	pr.cmd.Args = []string{os.Args[0], processTitle} // the name by which a test binary is a command
	pr.cmd.Dir = string(os.PathSeparator)
	pr.cmd.Env = p.cfg.environment(os.LookupEnv)
	pr.cmd.Stdin, pr.cmd.Stdout, pr.cmd.Stderr = pipes[0], pipes[3], pr.stderr
	pr.cmd.SysProcAttr = attributes()
	pr.cmd.WaitDelay = time.Second
	if err := pr.cmd.Start(); err != nil {
		kill()
		return nil, err
	}
	pr.client = rpc.NewClient(duplex{pipes[2], pipes[1]})
	return pr, nil
}

// duplex is the two pipes to a process, or to the sidecar.
type duplex struct {
	io.ReadCloser
	w io.WriteCloser
}

func (d duplex) Write(b []byte) (int, error) { return d.w.Write(b) }
func (d duplex) Close() error                { return errors.Join(d.ReadCloser.Close(), d.w.Close()) }

// end ends a process on purpose. mu is held.
func (pr *process) end(why ending) {
	pr.ended = why
	pr.kill()
}

// wait waits until the process has ended, and says how. It closes the pipes, so that every call ends.
func (pr *process) wait() (reason Reason, detail string) {
	err := pr.cmd.Wait()
	pr.kill()
	_ = pr.client.Close() // the process has gone
	reason, detail = Died, "it ended"
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		detail = exit.String()
		if exit.ExitCode() < 0 {
			reason = Killed
		}
	}
	if said := pr.stderr.String(); said != "" {
		detail += ": " + said
	}
	return reason, detail
}

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
