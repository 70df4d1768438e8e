//go:build unix

package cli

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is the test binary under the program's name, as a child process runs it.
func program(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "defenseclaw-gateway")
	if err := os.Symlink(self, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestASocketThatSystemdHandsOverIsServed as LISTEN_FDS says.
func TestASocketThatSystemdHandsOverIsServed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	run := func(sockets string, files ...*os.File) (*exec.Cmd, *strings.Builder) {
		// LISTEN_PID is the process's own, which only it knows.
		c := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" serve`, program(t))
		c.Env = append(os.Environ(), "LISTEN_FDS="+sockets, "DEFENSECLAW_HOME="+t.TempDir())
		c.ExtraFiles = files
		var said strings.Builder
		c.Stderr = &said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c, &said
	}
	c, said := run("1", file)
	answered := false
	for deadline := time.Now().Add(patience); !answered && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		response, err := (&http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + listener.Addr().String() + "/health/ready")
		if err == nil {
			answered = response.StatusCode == http.StatusOK
			response.Body.Close()
		}
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := c.Wait(); err != nil || !answered {
		t.Errorf("answered %v, %v\n%s", answered, err, said)
	}
	c, said = run("2", file, file)
	if err := c.Wait(); err == nil || !strings.Contains(said.String(), "systemd hands over 2 sockets: one was expected") {
		t.Errorf("%v\n%s", err, said)
	}
}
