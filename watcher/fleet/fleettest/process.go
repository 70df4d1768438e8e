package fleettest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/streams"

	"github.com/nats-io/nats.go"
)

// ProcessConfig is what a [Process] is to be. The zero value is a broker that stands alone.
type ProcessConfig struct {
	Name   string // "n1"
	Domain string // of its JetStream; empty: none
	Extra  string // lines of nats-server's configuration

	leaf    bool // without JetStream
	cluster string
}

// Process is a broker in a process of its own. Its address stays, and its data outlives [Process.Stop] and [Process.Kill].
// Not for use by several goroutines.
type Process struct {
	t            testing.TB
	name, config string
	dir          string
	port, http   int
	leafPort     int
	routes       int
	cmd          *exec.Cmd
	stdin        io.Closer
	ended        chan struct{}
}

// StartProcess starts a broker with the streams of a fleet, and ends it with the test. The TestMain has to call [Main].
func StartProcess(t testing.TB, cfg ProcessConfig) *Process {
	t.Helper()
	p := newProcess(t, cfg)
	p.Start()
	createStreams(t, p.Connect(), streams.Options{}, cfg.Domain)
	return p
}

func newProcess(t testing.TB, cfg ProcessConfig) *Process {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "n1"
	}
	p := &Process{t: t, name: cfg.Name, dir: t.TempDir(), port: freePort(t), http: freePort(t), leafPort: freePort(t), routes: freePort(t)}
	p.config = fmt.Sprintf("server_name: %s\nlisten: 127.0.0.1:%d\nhttp: 127.0.0.1:%d\nmax_connections: 200000\nlog_file: %q\n",
		p.name, p.port, p.http, filepath.Join(p.dir, "log"))
	if !cfg.leaf {
		p.config += fmt.Sprintf("leafnodes { listen: 127.0.0.1:%d }\njetstream { store_dir: %q, sync_interval: always", p.leafPort, p.store())
		if cfg.Domain != "" {
			p.config += ", domain: " + cfg.Domain
		}
		p.config += " }\n"
	}
	p.config += cfg.cluster + cfg.Extra
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the end of the log of broker %s:\n%s", p.name, p.log())
		}
	})
	return p
}

// freePort is one that no connection takes by chance while the broker is down: the system gives those from 32768 on.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 12_000 + rand.IntN(20_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) //nolint:noctx // it ends at once
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("there is no port")
	return 0
}

func (p *Process) store() string { return filepath.Join(p.dir, "store") }

// log is the end of what the broker logged.
func (p *Process) log() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	const lines = 30
	all := strings.Split(string(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Start starts it, anew after [Process.Stop] or [Process.Kill], and returns when it listens.
func (p *Process) Start() {
	p.t.Helper()
	p.launch()
	p.await("it listens", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port)) //nolint:noctx // on loopback it takes no time
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (p *Process) launch() {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(p.dir, "nats.conf")
	if err := os.WriteFile(file, []byte(p.config), 0o600); err != nil {
		p.t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(self) //nolint:gosec,noctx // it ends with stdin
	cmd.Env = append(os.Environ(), brokerVariable+"="+file)
	cmd.Stdout, cmd.Stderr = &said, &said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.stdin, p.ended = cmd, stdin, make(chan struct{})
	go func(ended chan struct{}) {
		defer close(ended)
		if err := cmd.Wait(); err != nil && said.Len() > 0 {
			p.t.Logf("broker %s: %v: %s", p.name, err, said.String())
		}
	}(p.ended)
}

// await waits until something is so. It gives up when the process has ended.
func (p *Process) await(what string, so func() bool) {
	p.t.Helper()
	for began := time.Now(); !so(); {
		select {
		case <-p.ended:
			p.t.Fatalf("broker %s ended before %s:\n%s", p.name, what, p.log())
		default:
			wait(context.Background(), 10*time.Millisecond)
		}
		if time.Since(began) > patience {
			p.t.Fatalf("broker %s: not even after %s %s:\n%s", p.name, patience, what, p.log())
		}
	}
}

// Stop ends it in good order.
func (p *Process) Stop() {
	if p.cmd != nil {
		_ = p.stdin.Close()
		<-p.ended
		p.cmd = nil
	}
}

// Kill ends it as kill -9 does.
func (p *Process) Kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		<-p.ended
		_ = p.stdin.Close()
		p.cmd = nil
	}
}

// URL is where it listens.
func (p *Process) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", p.port) }

// PID is the number of its process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Connect opens a connection that ends with the test.
func (p *Process) Connect(options ...nats.Option) *nats.Conn {
	p.t.Helper()
	return connect(p.t, p.URL(), options...)
}

// Monitor asks for a page of the broker's monitoring, such as /varz.
func (p *Process) Monitor(page string, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	in, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", p.http, page), nil)
	if err != nil {
		return err
	}
	in.Close = true
	answer, err := http.DefaultClient.Do(in)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	return json.NewDecoder(answer.Body).Decode(into)
}

// SaveData copies what the broker has on its disk. It has to be stopped.
func (p *Process) SaveData() (saved string) {
	p.t.Helper()
	saved = filepath.Join(p.t.TempDir(), "store")
	if err := os.CopyFS(saved, os.DirFS(p.store())); err != nil {
		p.t.Fatal(err)
	}
	return saved
}

// RestoreData makes a saved copy the broker's data: it went back in time. Without one, its data is gone. It has to be stopped.
func (p *Process) RestoreData(saved string) {
	p.t.Helper()
	if err := os.RemoveAll(p.store()); err != nil {
		p.t.Fatal(err)
	}
	if saved == "" {
		return
	}
	if err := os.CopyFS(p.store(), os.DirFS(saved)); err != nil {
		p.t.Fatal(err)
	}
}
