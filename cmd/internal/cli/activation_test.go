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

	"defenseclaw/cmd/internal/testutil"
)

// program links the test binary under the program's name, so that it runs as the program in a child process.
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

// TestASocketThatSystemdHandsOverIsServed passes the socket by LISTEN_FDS.
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
		// LISTEN_PID must be the PID of the program itself, so a shell that becomes the program sets it.
		c := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" serve`, program(t))
		c.Env = append(os.Environ(), "LISTEN_FDS="+sockets, "DEFENSECLAW_HOME="+t.TempDir())
		c.ExtraFiles = files
		var output strings.Builder
		c.Stderr = &output
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c, &output
	}
	c, output := run("1", file)
	caller := &http.Client{Timeout: testutil.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	answered := testutil.Eventually(func() bool {
		response, err := caller.Get("http://" + listener.Addr().String() + "/health/ready")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := c.Wait(); err != nil || !answered {
		t.Errorf("answered %v, %v\n%s", answered, err, output)
	}
	c, output = run("2", file, file)
	if err := c.Wait(); err == nil || !strings.Contains(output.String(), "systemd hands over 2 sockets: one was expected") {
		t.Errorf("%v\n%s", err, output)
	}
}
