package gate

import (
	"cmp"
	"container/list"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// DefaultTokenWait is how long a connection may stay open before a request on it has presented the token.
const DefaultTokenWait = 10 * time.Second

// minStay is how long a connection stays at least when there is no room: enough for a TLS handshake over a long
// line and the request.
const minStay = 250 * time.Millisecond

// Reasons for which a connection is rejected: not accepted, or closed before its peer closed it.
const (
	RejectedLimit       = "limit"       // the maximum is reached, and every connection is in use: the new one is closed
	RejectedAddress     = "address"     // the same for the maximum of one address
	RejectedRoom        = "room"        // closed to make room for a new one: it had no token, or was idle
	RejectedNoToken     = "no_token"    // no request presented the token in time
	RejectedDescriptors = "descriptors" // closed because the process had no descriptor left to accept another
)

// ConnectionsConfig configures [NewConnections]. Max is required; other zero fields mean the defaults given.
type ConnectionsConfig struct {
	Max        int           // open connections of all listeners together
	PerAddress int           // open connections of one remote address, or one user over Unix sockets; default three quarters of Max, at least 1
	TokenWait  time.Duration // default [DefaultTokenWait]

	// OnReject is called for each rejected connection, on the goroutine that accepts, and must not block.
	// Default: nothing.
	OnReject func(reason string)
}

// Connections bounds the connections of one sidecar. Safe for concurrent use.
//
// A connection has a good standing once a request on it has passed the gate. When there is no room for a new
// connection, the oldest one without a good standing is closed; if there is none, one that is idle. Only if
// every connection is in use, the new one is closed. So a caller that opens connections and sends nothing
// takes nothing from those that have the token.
//
// A new connection waits to be accepted until the one to be closed for it has had [minStay] to present the token.
// So a flood slows down accepting, but everyone who is accepted has that time.
//
// Addresses are counted as in the throttle: an IPv6 network of 64 bits is one, and those of this machine, which
// all local callers share, have no maximum of their own. Over a Unix socket the peer's user id counts as the
// address.
type Connections struct {
	cfg ConnectionsConfig

	mu        sync.Mutex // guards the fields below, and those of conn that say so
	open      int
	addresses map[origin]*address
	all       list.List // of *conn, oldest first
	strangers list.List // those of all that have no good standing, oldest first

	rejected map[string]*atomic.Uint64 // by reason; the map does not change
}

// address is what one origin has open.
type address struct {
	open      int
	strangers list.List
}

// NewConnections makes the bound for all listeners of a sidecar.
func NewConnections(cfg ConnectionsConfig) (*Connections, error) {
	if cfg.Max <= 0 || cfg.PerAddress < 0 || cfg.TokenWait < 0 {
		return nil, errors.New("gate: ConnectionsConfig.Max is required, and no field may be negative")
	}
	cfg.PerAddress = min(cfg.Max, cmp.Or(cfg.PerAddress, max(1, cfg.Max*3/4)))
	cfg.TokenWait = cmp.Or(cfg.TokenWait, DefaultTokenWait)
	l := &Connections{cfg: cfg, addresses: map[origin]*address{}, rejected: map[string]*atomic.Uint64{}}
	for _, reason := range []string{RejectedLimit, RejectedAddress, RejectedRoom, RejectedNoToken, RejectedDescriptors} {
		l.rejected[reason] = new(atomic.Uint64)
	}
	return l, nil
}

// Health is how many connections are open, and how many were rejected since the start, by reason.
func (l *Connections) Health() (open int, rejected map[string]uint64) {
	rejected = make(map[string]uint64, len(l.rejected))
	for reason, n := range l.rejected {
		rejected[reason] = n.Load()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open, rejected
}

// Listener bounds the connections that inner accepts.
func (l *Connections) Listener(inner net.Listener) net.Listener { return &listener{inner, l} }

type listener struct {
	net.Listener
	connections *Connections
}

// Accept returns the next connection for which there is room. Where the process has no descriptor left, it
// closes connections that are not in use, and tries again as long as there are any. The error that remains is
// temporary: [net/http.Server] and gRPC's server retry it with a backoff.
func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		switch {
		case err == nil:
			if c := l.connections.admit(inner); c != nil {
				return c, nil
			}
		case !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE), !l.connections.giveUpOne():
			return nil, err
		}
	}
}

// admit returns the connection to serve, or nil if there was no room and inner was closed.
func (l *Connections) admit(inner net.Conn) net.Conn {
	c := newConn(inner, l)
	victim, refused, wait := l.add(c)
	for ; wait > 0; victim, refused, wait = l.add(c) {
		<-time.NewTimer(wait).C
	}
	switch {
	case refused != "":
		l.count(refused)
		_ = inner.Close() // nothing was written
		return nil
	case victim != nil:
		l.count(RejectedRoom)
		_ = victim.Conn.Close() // its peer sees the end either way
	}
	return c
}

// add adds c. victim, if not nil, was removed to make room, and the caller closes it. If there was no room,
// refused is the reason, or wait is the time after which to try again.
func (l *Connections) add(c *conn) (victim *conn, refused string, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.addresses[c.origin]
	switch {
	case of != nil && c.origin.hasMaximum() && of.open >= l.cfg.PerAddress:
		if victim = l.dispensable(of); victim == nil {
			return nil, RejectedAddress, 0
		}
	case l.open >= l.cfg.Max:
		if victim = l.dispensable(nil); victim == nil {
			return nil, RejectedLimit, 0
		}
		if wait = minStay - time.Since(victim.accepted); wait > 0 && !victim.trusted.Load() {
			return nil, "", wait
		}
	}
	if victim != nil {
		l.remove(victim)
	}
	if of = l.addresses[c.origin]; of == nil {
		of = &address{}
		l.addresses[c.origin] = of
	}
	l.open++
	of.open++
	c.accepted = time.Now()
	c.of, c.inAll = of, l.all.PushBack(c)
	c.inStrangers, c.inOwn = l.strangers.PushBack(c), of.strangers.PushBack(c)
	c.expiry = time.AfterFunc(l.cfg.TokenWait, c.expire)
	return victim, "", 0
}

// giveUpOne closes a connection that is not in use, and reports whether there was one.
func (l *Connections) giveUpOne() bool {
	l.mu.Lock()
	victim := l.dispensable(nil)
	if victim != nil {
		l.remove(victim)
	}
	l.mu.Unlock()
	if victim == nil {
		return false
	}
	l.count(RejectedDescriptors)
	_ = victim.Conn.Close() // frees its descriptor before it returns
	return true
}

// dispensable is the connection to close when there is no room: the oldest one that has no good standing, or
// an idle one; nil if all are in use. Only those of an address are considered, unless it is nil. The caller
// holds mu.
func (l *Connections) dispensable(of *address) *conn {
	strangers := &l.strangers
	if of != nil {
		strangers = &of.strangers
	}
	if oldest := strangers.Front(); oldest != nil {
		return connIn(oldest)
	}
	for e := l.all.Front(); e != nil; e = e.Next() {
		if c := connIn(e); c.idle.Load() && (of == nil || c.of == of) {
			return c
		}
	}
	return nil
}

// connIn returns the conn of an element of a list, which holds nothing else.
func connIn(e *list.Element) *conn { c, _ := e.Value.(*conn); return c }

// remove removes c unless that was done before, and reports whether it did so now. The caller holds mu.
func (l *Connections) remove(c *conn) bool {
	if c.inAll == nil {
		return false
	}
	l.all.Remove(c.inAll)
	c.inAll = nil
	l.noStranger(c)
	l.open--
	if c.of.open--; c.of.open == 0 {
		delete(l.addresses, c.origin)
	}
	return true
}

// noStranger takes c off the connections without a good standing. The caller holds mu.
func (l *Connections) noStranger(c *conn) {
	if c.inStrangers != nil {
		l.strangers.Remove(c.inStrangers)
		c.of.strangers.Remove(c.inOwn)
		c.inStrangers, c.inOwn = nil, nil
		c.expiry.Stop()
	}
}

func (l *Connections) count(reason string) {
	l.rejected[reason].Add(1)
	if l.cfg.OnReject != nil {
		l.cfg.OnReject(reason)
	}
}
