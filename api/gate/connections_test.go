package gate

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// elsewhere is a listener whose connections come from an address of the test's choice.
type elsewhere struct {
	net.Listener
	from atomic.Pointer[net.TCPAddr] // nil: where they really come from
	err  atomic.Pointer[error]       // of the next Accept
}

func (e *elsewhere) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if failure := e.err.Swap(nil); failure != nil {
		c.Close()
		return nil, *failure
	}
	return stranger{c, e.from.Load()}, nil
}

type stranger struct {
	net.Conn
	from *net.TCPAddr
}

func (s stranger) RemoteAddr() net.Addr {
	if s.from == nil {
		return s.Conn.RemoteAddr()
	}
	return s.from
}

// bounded is a real listener within limits, and the connections that it accepted.
type bounded struct {
	t *testing.T
	*Connections
	inner    *elsewhere
	listener net.Listener
	rejected chan string
}

func bound(t *testing.T, cfg ConnectionsConfig) *bounded {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bounded{t: t, inner: &elsewhere{Listener: tcp}, rejected: make(chan string, 100)}
	cfg.OnReject = func(reason string) { b.rejected <- reason }
	if b.Connections, err = NewConnections(cfg); err != nil {
		t.Fatal(err)
	}
	b.listener = b.Listener(b.inner)
	t.Cleanup(func() { b.listener.Close() })
	return b
}

// pair is a connection as its peer and as the server has it.
type pair struct {
	peer   net.Conn
	server *conn
}

func (b *bounded) dial() net.Conn {
	b.t.Helper()
	peer, err := net.Dial("tcp", b.inner.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { peer.Close() })
	return peer
}

func (b *bounded) connect() pair {
	b.t.Helper()
	peer := b.dial()
	c, err := b.listener.Accept()
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return pair{peer, c.(*conn)}
}

// isOpen asks the peer: the server has written one byte, unless it closed the connection.
func (b *bounded) isOpen(p pair) bool {
	b.t.Helper()
	_, _ = p.server.Write([]byte{1})
	n, err := p.peer.Read(make([]byte, 1))
	return n == 1 && err == nil
}

func (b *bounded) expect(reasons ...string) {
	b.t.Helper()
	for _, want := range reasons {
		if got := <-b.rejected; got != want {
			b.t.Errorf("rejected for %q, want %q", got, want)
		}
	}
	if len(b.rejected) > 0 {
		b.t.Errorf("also rejected for %q", <-b.rejected)
	}
}

func TestRoomIsMadeByWhoHasNoTokenThenByWhoIsIdle(t *testing.T) {
	b := bound(t, ConnectionsConfig{Max: 3})
	busy, idle, without := b.connect(), b.connect(), b.connect()
	busy.server.trust()
	idle.server.trust()
	ConnState(idle.server, http.StateIdle)

	fourth := b.connect()
	b.expect(RejectedRoom)
	if b.isOpen(without) || !b.isOpen(busy) || !b.isOpen(idle) {
		t.Error("the connection without a token was not the one that made room")
	}
	fourth.server.trust()
	fifth := b.connect()
	b.expect(RejectedRoom)
	if b.isOpen(idle) || !b.isOpen(busy) || !b.isOpen(fourth) {
		t.Error("the idle connection was not the one that made room")
	}
	if !b.isOpen(fifth) {
		t.Error("the new one is closed")
	}
}

func TestANewConnectionIsRefusedWhereAllAreInUse(t *testing.T) {
	b := bound(t, ConnectionsConfig{Max: 1})
	busy := b.connect()
	busy.server.trust()
	refused := b.dial()
	accepted := make(chan error, 1)
	go func() { _, err := b.listener.Accept(); accepted <- err }()
	if n, err := refused.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes", n)
	}
	b.expect(RejectedLimit)
	b.listener.Close()
	if err := <-accepted; err == nil {
		t.Error("it was accepted")
	}
	if !b.isOpen(busy) {
		t.Error("the one in use was closed")
	}
}

func TestOneAddressDoesNotTakeAllConnections(t *testing.T) {
	b := bound(t, ConnectionsConfig{Max: 4, PerAddress: 2})
	b.inner.from.Store(&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1})
	first, second := b.connect(), b.connect()
	first.server.trust()
	b.inner.from.Store(&net.TCPAddr{IP: net.ParseIP("2001:db8::2"), Port: 1}) // of the same network
	third := b.connect()
	b.expect(RejectedRoom)
	if b.isOpen(second) || !b.isOpen(first) || !b.isOpen(third) {
		t.Error("another one made room than that of the same network without a token")
	}
	third.server.trust()
	b.dial() // a third in use
	accepted := make(chan net.Conn)
	go func() { c, _ := b.listener.Accept(); accepted <- c }()
	b.expect(RejectedAddress)
	b.inner.from.Store(nil)
	b.dial()
	local := <-accepted
	defer local.Close()
	if key := local.(*conn).origin; key.hasMaximum() {
		t.Errorf("a caller on this machine counts as %+v", key)
	}
}

func TestAConnectionWithoutATokenEndsInTime(t *testing.T) {
	b := bound(t, ConnectionsConfig{Max: 4, TokenWait: 50 * time.Millisecond})
	good, bad := b.connect(), b.connect()
	good.server.trust()
	if _, err := io.ReadAll(bad.peer); err != nil { // until it is closed
		t.Error(err)
	}
	b.expect(RejectedNoToken)
	if !b.isOpen(good) {
		t.Error("the one with the token was closed too")
	}
	if open, rejected := b.Health(); open != 1 || rejected[RejectedNoToken] != 1 {
		t.Errorf("%d open, %v", open, rejected)
	}
}

// TestAcceptGivesUpAConnectionForADescriptor instead of failing while there is one to give up.
func TestAcceptGivesUpAConnectionForADescriptor(t *testing.T) {
	b := bound(t, ConnectionsConfig{Max: 4})
	without := b.connect()
	var failure error = &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	b.inner.err.Store(&failure)
	b.dial()
	next := b.connect()
	b.expect(RejectedDescriptors)
	if b.isOpen(without) {
		t.Error("it is still open")
	}
	next.server.trust()
	b.inner.err.Store(&failure)
	b.dial()
	_, err := b.listener.Accept()
	if temporary, ok := err.(interface{ Temporary() bool }); !ok || !temporary.Temporary() {
		t.Errorf("%v: want an error that the server retries", err)
	}
}

func TestClosingTwiceCountsOnce(t *testing.T) {
	b := bound(t, ConnectionsConfig{Max: 4})
	c, other := b.connect(), b.connect()
	c.server.Close()
	c.server.Close()
	c.server.trust()
	c.server.expire()
	b.expect()
	if open, _ := b.Health(); open != 1 || !b.isOpen(other) {
		t.Errorf("%d open", open)
	}
	other.server.Close()
	if len(b.addresses) != 0 || b.all.Len() != 0 || b.strangers.Len() != 0 {
		t.Errorf("left over: %d addresses, %d connections, %d without a token", len(b.addresses), b.all.Len(), b.strangers.Len())
	}
}

// TestAUserOverASocketDoesNotTakeAllConnections, nor has another user's closed.
func TestAUserOverASocketDoesNotTakeAllConnections(t *testing.T) {
	b := bound(t, ConnectionsConfig{Max: 6, PerAddress: 2})
	dir, err := os.MkdirTemp("", "gate") //nolint:usetesting // t.TempDir is too long for a socket on macOS
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	unix, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	listener := b.Listener(unix)
	t.Cleanup(func() { listener.Close() })
	connect := func() pair {
		peer, err := net.Dial("unix", unix.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { peer.Close() })
		c, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return pair{peer, c.(*conn)}
	}
	if o := connect().server.origin; PeersAreKnown != o.known || o.known && int(o.uid) != os.Geteuid() {
		t.Fatalf("the origin is %+v", o)
	} else if !o.known {
		t.Skip("SKIPPED: this system does not tell the user of a peer")
	}
	other := b.connect() // over TCP
	second := connect()
	third := connect()
	b.expect(RejectedRoom)
	if !b.isOpen(other) || !b.isOpen(second) || !b.isOpen(third) {
		t.Error("another connection was closed than the oldest of that user")
	}
}
