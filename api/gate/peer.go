package gate

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"

	"defenseclaw/api/internal/peercred"
	"defenseclaw/api/internal/remote"
)

// PeersAreKnown reports whether this system tells the user at the other end of a Unix socket.
const PeersAreKnown = peercred.Supported

// An origin is what connections are counted by. The zero origin stands for callers on this machine that cannot be
// told apart.
type origin struct {
	addr  netip.Addr // the network of a remote address
	known bool       // uid is that of the peer of a Unix socket
	uid   uint32
}

func originOf(c net.Conn) origin {
	if uid, ok := peercred.UID(c); ok {
		return origin{known: true, uid: uid}
	}
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return origin{}
	}
	addr := tcp.AddrPort().Addr()
	if !addr.IsValid() || addr.Unmap().IsLoopback() {
		return origin{}
	}
	return origin{addr: remote.Network(addr).Addr()}
}

// Origin names where a connection is from: the user of a Unix socket, the network of a remote address, or this machine.
func Origin(c net.Conn) string {
	switch o := originOf(c); {
	case o.known:
		return "uid:" + strconv.FormatUint(uint64(o.uid), 10)
	case o.addr.IsValid():
		return o.addr.String()
	default:
		return "this machine"
	}
}

// hasMaximum reports whether the connections of the origin are bounded apart from the others.
func (o origin) hasMaximum() bool { return o.known || o.addr.IsValid() }

// Peer returns the user who sent a request over a Unix socket: as an identifier such as "uid:1000", and with the name
// as in "uid:1000 (ann)". Both are empty if the request came another way, or if the kernel cannot tell. ctx is the
// request's.
func Peer(ctx context.Context) (id, name string) {
	o := originIn(ctx)
	if !o.known {
		return "", ""
	}
	id = "uid:" + strconv.FormatUint(uint64(o.uid), 10)
	return id, nameOf(o.uid, id)
}

func originIn(ctx context.Context) origin {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		return c.origin
	}
	return origin{}
}

// callingPeer returns the sender of a request that presents no token, if it is the user of this process, or root.
// Both can read the token, debug the process and replace its files, so a token would keep nothing from them.
func callingPeer(ctx context.Context) (Caller, bool) {
	o := originIn(ctx)
	if !o.known || o.uid != 0 && int(o.uid) != os.Geteuid() {
		return Caller{}, false
	}
	id, name := Peer(ctx)
	return Caller{Name: name, Scopes: AllScopes, User: id}, true
}

// checkPeer stands against web pages where somebody forwards a port to the socket, as ssh does: a page that reaches it
// would have the rights of the user who forwards it. So a request without a token must look like none of a browser:
// it names a loopback host, which a page whose own name was rebound does not, and has no header that only browsers
// send. Over TCP, and with a token, the other checks are enough.
func (g *Gate) checkPeer(r *http.Request) bool {
	if !originIn(r.Context()).known || presentsToken(r) {
		return true
	}
	return !fromBrowser(r.Header) && isLoopback(hostname(r.Host))
}

// presentsToken reports whether a request has any header that could have a token. An empty one counts too: a script
// whose variable is not set must not get more than it would get with it.
func presentsToken(r *http.Request) bool {
	for _, name := range [...]string{"Authorization", HeaderToken, HeaderAuth} {
		if _, ok := r.Header[name]; ok {
			return true
		}
	}
	return false
}

// names caches the names of users: to find one reads a file. Only users who may connect are in it.
var names sync.Map // of uint32 to string

func nameOf(uid uint32, id string) string {
	if name, ok := names.Load(uid); ok {
		known, _ := name.(string) // nothing else is stored
		return known
	}
	name := id
	if u, err := user.LookupId(strings.TrimPrefix(id, "uid:")); err == nil && u.Username != "" {
		name += " (" + u.Username + ")"
	}
	names.Store(uid, name)
	return name
}
