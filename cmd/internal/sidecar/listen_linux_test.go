package sidecar

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestASocketWhoseQueueIsFullIsNotTakenOver: its listener is busy, not gone.
func TestASocketWhoseQueueIsFullIsNotTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gw.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for full := false; !full; {
		conn, err := net.Dial("unix", path)
		if full = err != nil; !full {
			defer conn.Close()
		}
	}
	const want = "a socket is there, and it is unclear whether a process listens on it: resource temporarily unavailable"
	if l, err := listenUnix(path); err == nil {
		l.Close()
		t.Error("it was taken over")
	} else if !strings.HasSuffix(err.Error(), want) {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	if err := syscall.Close(fd); err != nil {
		t.Fatal(err)
	}
	l, err := listenUnix(path)
	if err != nil {
		t.Fatalf("a socket without a listener was not replaced: %v", err)
	}
	l.Close()
}

// TestASocketIsItsOwnersFromItsFirstMoment, before anything changes the mode of the file.
func TestASocketIsItsOwnersFromItsFirstMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gw.sock")
	private := net.ListenConfig{Control: onlyForOwner}
	l, err := private.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %o", mode)
	}
}
