package api

import (
	"net"
	"sync/atomic"
	"time"
)

// coarseListener makes a deadline for writing that comes within a second after the last one cost nothing.
// net/http sets one for each answer, minutes ahead, and each moves a timer of the runtime. Who sets one
// that is to come sooner than coarseness clears it before the next, as the stream of events does.
type coarseListener struct{ net.Listener }

// Accept is [net.Listener]'s.
func (l coarseListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &coarseConn{Conn: c}, nil
}

type coarseConn struct {
	net.Conn
	writeBy atomic.Int64 // in nanoseconds since 1970; 0: no deadline
}

const coarseness = time.Second

// SetWriteDeadline is [net.Conn]'s, but that a deadline up to a second later than the one that stands
// leaves that one.
func (c *coarseConn) SetWriteDeadline(t time.Time) error {
	by := int64(0)
	if !t.IsZero() {
		by = t.UnixNano()
	}
	if stands := c.writeBy.Load(); stands != 0 && by >= stands && by < stands+int64(coarseness) {
		return nil
	}
	c.writeBy.Store(by)
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline is [net.Conn]'s.
func (c *coarseConn) SetDeadline(t time.Time) error {
	c.writeBy.Store(0)
	return c.Conn.SetDeadline(t)
}

// CloseWrite is [net.TCPConn]'s, which net/http looks for.
func (c *coarseConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
