package gate

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// conn is a connection that counts in its Connections until it is closed.
type conn struct {
	net.Conn
	connections *Connections
	origin      origin
	peer        *peer

	trusted atomic.Bool // a request has passed the gate
	idle    atomic.Bool // between two requests, as far as the server tells

	of                        *address // guarded by connections.mu, as the fields below
	accepted                  time.Time
	inAll, inStrangers, inOwn *list.Element
	expiry                    *time.Timer
}

// peer is the remote address of a conn. It leads back to the conn, since gRPC hands out nothing else.
type peer struct {
	net.Addr
	conn *conn
}

func newConn(inner net.Conn, l *Connections) *conn {
	c := &conn{Conn: inner, connections: l, origin: originOf(inner)}
	c.peer = &peer{inner.RemoteAddr(), c}
	return c
}

// RemoteAddr implements [net.Conn].
func (c *conn) RemoteAddr() net.Addr { return c.peer }

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.connections.mu.Lock()
	c.connections.remove(c)
	c.connections.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite lets net/http end its half first, so that a peer that still sends can read the answer.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// expire closes a connection on which no request presented the token in time.
func (c *conn) expire() {
	l := c.connections
	l.mu.Lock()
	late := c.inStrangers != nil
	if late {
		l.remove(c)
	}
	l.mu.Unlock()
	if late {
		l.count(RejectedNoToken)
		_ = c.Conn.Close() // its peer sees the end either way
	}
}

// trust gives the connection a good standing.
func (c *conn) trust() {
	if c.trusted.Load() {
		return
	}
	c.connections.mu.Lock()
	c.connections.noStranger(c)
	c.connections.mu.Unlock()
	c.trusted.Store(true)
}

// connOf finds the conn below TLS; nil if the listener was not of a Connections.
func connOf(c net.Conn) *conn {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	limited, _ := c.(*conn)
	return limited
}

type connKey struct{}

// ConnContext is the function for the field of that name of [http.Server].
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if limited := connOf(c); limited != nil {
		return context.WithValue(ctx, connKey{}, limited)
	}
	return ctx
}

// ConnState is the function for the field of that name of [http.Server].
func ConnState(c net.Conn, state http.ConnState) {
	if limited := connOf(c); limited != nil {
		limited.idle.Store(state == http.StateIdle)
	}
}

// Trust gives the connection of a request a good standing: it presented the token. ctx is the request's.
func Trust(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.trust()
	}
}

// TrustPeer is [Trust] for a server that tells only the remote address of a connection, such as gRPC's.
func TrustPeer(addr net.Addr) {
	if p, ok := addr.(*peer); ok {
		p.conn.trust()
	}
}

// EndsSoon reports whether the connection of a request will soon be closed for want of the token. A server that
// then asks the peer to close it spares a probe, which has no token, a request without an answer.
func EndsSoon(ctx context.Context) bool {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok || c.trusted.Load() {
		return false
	}
	c.connections.mu.Lock()
	defer c.connections.mu.Unlock()
	return time.Since(c.accepted) > c.connections.cfg.TokenWait/2
}
