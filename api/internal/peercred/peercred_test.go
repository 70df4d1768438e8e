package peercred_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"defenseclaw/api/internal/peercred"
)

// TestBothEndsOfASocketSeeTheUser of the other.
func TestBothEndsOfASocketSeeTheUser(t *testing.T) {
	if !peercred.Supported {
		t.Skip("SKIPPED: this system does not tell the user of a peer")
	}
	dir, err := os.MkdirTemp("", "peer") //nolint:usetesting // t.TempDir is too long for a socket on macOS
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for name, end := range map[string]net.Conn{"the listener's": in, "the caller's": out} {
		if uid, ok := peercred.UID(end); !ok || int(uid) != os.Geteuid() {
			t.Errorf("%s end: %d, %v; want %d", name, uid, ok, os.Geteuid())
		}
	}
}

func TestOverTCPThereIsNoUser(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if uid, ok := peercred.UID(c); ok {
		t.Errorf("user %d", uid)
	}
}
