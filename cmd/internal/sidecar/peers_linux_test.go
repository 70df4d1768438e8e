package sidecar_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"defenseclaw/api"
)

// anotherUser is a user id that has no account.
const anotherUser = 61_234

// as runs f with the rights of a user, on a thread that ends with it.
func as(t *testing.T, uid int, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can act for other users")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is not used again
		const unchanged = ^uintptr(0)
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, unchanged, uintptr(uid), unchanged); errno != 0 {
			done <- errno
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// openDir returns a directory that every user can enter, with a path that is short enough for sockets.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "peers") //nolint:usetesting // others cannot enter that of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // for the test
		t.Fatal(err)
	}
	return dir
}

// over sends GET /policy/status over a connection.
func over(t *testing.T, conn net.Conn, token string) int {
	t.Helper()
	defer conn.Close()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/policy/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// TestOtherUsersNeedTheToken over a socket whose mode lets them in, as one that systemd makes for a group.
func TestOtherUsersNeedTheToken(t *testing.T) {
	socket := filepath.Join(openDir(t), "s")
	startWith(t, map[string]string{"DEFENSECLAW_API_SOCKET": socket})
	if err := os.Chmod(socket, 0o666); err != nil { //nolint:gosec // for the test
		t.Fatal(err)
	}
	for _, c := range []struct {
		user  int
		token string
		want  int
	}{
		{0, "", http.StatusOK}, {0, "wrong", http.StatusUnauthorized},
		{anotherUser, "", http.StatusUnauthorized}, {anotherUser, "wrong", http.StatusUnauthorized}, {anotherUser, token, http.StatusOK},
	} {
		var conn net.Conn
		var err error
		as(t, c.user, func() { conn, err = net.Dial("unix", socket) })
		if err != nil {
			t.Fatal(err)
		}
		if got := over(t, conn, c.token); got != c.want {
			t.Errorf("user %d with token %q: %d, want %d", c.user, c.token, got, c.want)
		}
	}
}

// listenAs listens as a user, and returns what the first caller sent.
func listenAs(t *testing.T, uid int, path string) <-chan string {
	t.Helper()
	var l net.Listener
	var err error
	as(t, uid, func() { l, err = net.Listen("unix", path) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	sent := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			sent <- err.Error()
			return
		}
		defer conn.Close()
		text := make([]byte, 4096)
		n, _ := conn.Read(text)
		sent <- string(text[:n])
	}()
	return sent
}

func TestNothingIsSentToAnotherUsersListener(t *testing.T) {
	path := filepath.Join(openDir(t), "s")
	sent := listenAs(t, anotherUser, path)
	_, err := (&api.Client{Addr: "unix:" + path, Token: token, Timeout: patience}).Reload(t.Context())
	if untrusted := new(api.UntrustedError); !errors.As(err, &untrusted) ||
		!strings.Contains(err.Error(), "a process of user id 61234 listens there, not one of this user, 0, or of root") {
		t.Error(err)
	}
	if text := <-sent; text != "" {
		t.Errorf("it got %q", text)
	}
}

// TestAnotherUsersListenerInTheDataDirectoryIsPassedBy for the sidecar's address.
func TestAnotherUsersListenerInTheDataDirectoryIsPassedBy(t *testing.T) {
	path := filepath.Join(openDir(t), "s")
	sent := listenAs(t, anotherUser, path)
	_, s, _, _ := startWith(t, nil)
	client := &api.Client{Addr: s.Addr(), Token: token, Socket: path, Timeout: patience}
	if _, err := client.Status(t.Context()); err != nil {
		t.Error(err)
	}
	if text := <-sent; text != "" {
		t.Errorf("it got %q", text)
	}
}

// TestRootTrustsTheUserOfTheDirectory, such as a service's, and sends no token that is not needed.
func TestRootTrustsTheUserOfTheDirectory(t *testing.T) {
	dir := openDir(t)
	if err := os.Chown(dir, anotherUser, anotherUser); err != nil {
		t.Skipf("SKIPPED: only root can give a directory away: %v", err)
	}
	path := filepath.Join(dir, "s")
	sent := listenAs(t, anotherUser, path)
	client := &api.Client{Addr: "unix:" + path, Token: "secret", TokenIsOptional: true, Timeout: patience}
	_, err := client.Reload(t.Context())
	if err == nil {
		t.Error("it answered")
	}
	if text := <-sent; !strings.HasPrefix(text, "POST /policy/reload") || strings.Contains(text, "secret") {
		t.Errorf("it got %q", text)
	}
}
